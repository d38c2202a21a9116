"""The pages that show, in a browser that runs no script; and what the script adds to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from selenium.webdriver.common.keys import Keys as Key

from supervision import Heartbeat
from tests.background import background
from tests.integration.test_acting_on_page import window as window
from tests.integration.waiting import until_async
from tests.monitoring.find_rig import audited
from tests.monitoring.full_desk import PATHS
from tests.monitoring.status_rig import StatusRig
from tests.monitoring.test_audit_index import ROUND
from tests.monitoring.test_notices import unknown
from tests.page.browser import Browser
from tests.page.window import PATIENCE_SEC, Window

pytestmark = pytest.mark.browser

RELOADS = "return document.querySelector('noscript > meta[http-equiv=refresh]') !== null"


@pytest.fixture
def scriptless(chromium: Browser, window: Window) -> Iterator[Window]:
    """A window that runs no script of a page."""
    with without_scripts(chromium):
        yield window


@contextmanager
def without_scripts(browser: Browser) -> Iterator[None]:
    browser.allow_scripts(allowed=False)
    try:
        yield
    finally:
        browser.allow_scripts(allowed=True)


async def asked_again(window: Window) -> set[str]:
    """Return what a page asks for when it is looked at again."""
    await window.requested()
    await window.run("document.dispatchEvent(new Event('visibilitychange'))")
    await window.comes_true("document.readyState === 'complete'")
    return await window.requested()


@pytest.fixture
async def following() -> AsyncIterator[tuple[StatusRig, str]]:
    """A service that others change, and its address."""
    rig = StatusRig()
    async with background(rig.metrics.run, Heartbeat()):
        yield rig, await rig.channels.http_address.changed()


async def test_each_page_shows_the_same_without_script(
    desk_url: str, window: Window, chromium: Browser
) -> None:
    shown = {}
    for path in PATHS:
        await window.open(f"{desk_url}{path}")
        shown[path] = await window.text("main")
        assert await window.run(RELOADS) is False, path
    with without_scripts(chromium):
        for path, text in shown.items():
            await window.open(f"{desk_url}{path}")
            assert await window.text("main") == text, path
            assert await window.run(RELOADS) is (path in ("/", "/notices"))
            assert [each for each in await window.complaints() if "status of 404" not in each] == []


async def test_finding_filtering_paging_and_reasons_need_no_script(desk_url: str, scriptless: Window) -> None:
    await scriptless.open(desk_url)
    await scriptless.run("document.querySelector('#find-text').focus()")
    await scriptless.press("plan-0003", Key.ENTER)
    await scriptless.comes_true("location.pathname === '/plans/plan-0003'")
    await scriptless.click("#bar a[href='/decisions']")
    await scriptless.shows("4 of 4 match")
    await scriptless.run("document.querySelector('[name=answer]').value = 'deny'")
    await scriptless.click("#filter button")
    await scriptless.shows("2 of 4 match", "reconcile_hold_active")
    await scriptless.click("th[aria-sort] a")
    await scriptless.comes_true("location.search.includes('order=asc')")
    await scriptless.click("td.plan a")
    await scriptless.shows("✕ DENY", "reconcile_hold_active", "Checks, in order")
    await scriptless.click("#bar a")
    await scriptless.comes_true("location.pathname === '/'")
    await scriptless.click("#decisions a[data-explain]")
    await scriptless.comes_true("location.pathname === '/explanation'")
    await scriptless.shows("Checks, in order")
    await scriptless.open(f"{desk_url}/history")
    await scriptless.click(".spans a[href*='span=1h']")
    await scriptless.shows("600 allowed")


async def test_the_page_of_notices_follows_what_fires_without_loading_again(
    following: tuple[StatusRig, str], window: Window
) -> None:
    rig, url = following
    await window.open(f"{url}/notices")
    await window.shows("Nothing fires.")
    await window.run("window.loadedOnce = true")
    unknown(rig, "plan-1")
    rig.clock.advance(1)
    await window.shows("unknown_execution", "plan-1", "not seen yet", selector="#notices")
    assert (await window.run("return document.title")).startswith("1 notice ")
    assert await window.run("return window.loadedOnce") is True
    await until_async(partial(asked_again, window), "it asks again", PATIENCE_SEC)
    assert await window.complaints() == []


async def test_a_list_reads_on_to_older_entries_and_leaves_the_form_as_it_is(
    following: tuple[StatusRig, str], window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, url = following
    monkeypatch.setattr("monitoring.find.decisions._PAGE_READS_SEC", 0.0)
    for number in range(ROUND + 1):
        audited(rig, f"plan-{number}", back_ms=ROUND + 1 - number)
    await window.open(f"{url}/decisions")
    await window.shows("Older entries are being read")
    await window.run("document.querySelector('[name=symbol]').focus()")
    await window.press("ET")
    monkeypatch.setattr("monitoring.find.decisions._PAGE_READS_SEC", 1.0)
    rig.clock.advance(1)
    await window.shows(f"{ROUND + 1} of {ROUND + 1} match ·")
    assert await window.run("return document.activeElement.value") == "ET"
    # A complete list stays as it is under its reader.
    assert await asked_again(window) == set()
    assert await window.complaints() == []
