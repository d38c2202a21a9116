"""Finding in a real browser: box, list, plan and symbol of a running daemon."""

from __future__ import annotations

import csv
import io
import json

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.integration.pipeline import entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import trade
from tests.integration.test_page import TRAP, daemon_on
from tests.page.browser import Browser
from tests.page.contents import HOSTILE
from tests.page.window import Window

pytestmark = pytest.mark.browser

PATHS = ("decisions", "plans/plan-open", "symbols/BTCUSDT", "find?q=plan-", "plans/nothing")
#: Controls without a label.
NAMELESS = "[...document.querySelectorAll('input, select')].filter((e) => !e.labels.length)"


@pytest.fixture
def window(chromium: Browser) -> Window:
    """A window in which no page of an earlier test is left, nor what it logged."""
    chromium.open("about:blank")
    chromium.complaints()
    return Window(chromium)


async def test_a_plan_is_found_by_keyboard_alone_and_its_symbol_behind_it(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        await site.ask("plan-to-find-1", entry("BTCUSDT", "0.05"))
        await site.ask("plan-to-find-2", full_close("ETHUSDT"))
        order = trade(site.exchange, "BTCUSDT", "BUY", "0.05")
        site.publish_fill("plan-to-find-1", order)
        await window.open(url)
        await window.shows("they agree", selector="#holdings")
        for _ in range(20):
            if await window.run("return document.activeElement.id") == "find-text":
                break
            await window.press(Keys.TAB)
        await window.press(" plan-to-find-1 ", Keys.ENTER)
        await window.comes_true("location.pathname === '/plans/plan-to-find-1'")
        text = await window.shows("✓ ALLOW", "open_permit_granted", "Time line", "Booked in the ledger: 0.05")
        assert f"order {order.order_id}" in text
        await window.click(".plan-id a")
        await window.shows(
            "BTCUSDT", "last_known_amt\n0.05", "entry", "Last decisions", "open_permit_granted"
        )
        await window.run("document.querySelector('#find-text').focus()")
        await window.press("plan-to", Keys.ENTER)
        await window.shows("Several may be meant", "plan-to-find-1", "plan-to-find-2")
        await window.run("document.querySelector('#find-text').focus()")
        await window.press(str(order.order_id), Keys.ENTER)
        await window.comes_true("location.pathname === '/plans/plan-to-find-1'")
        complaints = await window.complaints()
        assert complaints == []


async def test_a_list_is_filtered_sorted_and_exported(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        for number in range(120):
            await site.ask(f"close-{number}", full_close("ETHUSDT"))
        await site.ask("open-1", entry("BTCUSDT", "0.05"))
        await window.open(f"{url}decisions")
        await window.shows("121 of 121 match", "page 1 of 2")
        await window.run("document.querySelector('[name=answer]').value = 'deny'")
        await window.run("document.querySelector('[name=symbol]').focus()")
        await window.press("eth", Keys.ENTER)
        await window.shows("120 of 121 match", "no_position")
        assert "BTCUSDT" not in await window.text("table")
        assert await window.run("return location.search") == "?symbol=eth&reason=&source=&since=&until=" + (
            "&answer=deny&role=p33&sort=time&order=desc"
        )
        await window.click("a[rel=next]")
        await window.shows("120 of 121 match", "page 2 of 2")
        assert await window.run("return document.querySelectorAll('tbody tr').length") == 20
        await window.click("th:nth-child(6) a")
        await window.comes_true("document.querySelector('[aria-sort=descending]').innerText === 'latency'")
        await window.shows("120 of 121 match")
        links = await window.run("return [...document.querySelectorAll('#count a')].map((a) => a.href)")
        async with httpx.AsyncClient(trust_env=False) as client:
            as_csv = (await client.get(links[0])).text
            as_json = json.loads((await client.get(links[1])).text)
        rows = list(csv.DictReader(io.StringIO(as_csv)))
        assert len(rows) == len(as_json["decisions"]) == 120
        latencies = [int(row["latency_ms"]) for row in rows]
        assert latencies == sorted(latencies, reverse=True)
        await window.click("td.plan a")
        await window.shows("✕ DENY", "no_position", "Checks, in order")
        assert await window.complaints() == []


async def test_hostile_names_do_no_harm_in_lists_and_on_pages(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        for text in HOSTILE:
            await site.ask(text, {**full_close("ETHUSDT"), "source": text, "reason": text})
        await window.open(f"{url}decisions")
        await window.shows(f"{len(HOSTILE)} of {len(HOSTILE)} match")
        paths = await window.run("return [...document.querySelectorAll('td.plan a')].map((a) => a.href)")
        for path in [f"{url}decisions", *paths]:
            await window.open(path)
            await window.run(TRAP)
            await window.run("for (const e of document.querySelectorAll('*')) e.focus?.()")
            assert await window.run("return window.harm") == []
            assert await window.run("return document.querySelectorAll('#main script, #main img').length") == 0
            assert await window.complaints() == []
            await window.open(path, width=360)
            assert await window.run("return document.documentElement.scrollWidth") == 360


async def test_the_pages_can_be_read_on_a_phone_and_in_both_schemes(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        await site.ask("plan-open", entry("BTCUSDT", "0.05"))
        await site.ask("plan-flat", full_close("ETHUSDT"))
        for scheme in ("light", "dark"):
            for width in (360, 800, 1280):
                for path in PATHS:
                    await window.open(f"{url}{path}", width=width, scheme=scheme)
                    await window.shows("Overview", "Decisions", selector="#bar")
                    assert await window.run("return document.documentElement.scrollWidth") == width, path
                    assert await window.pale_texts() == [], path
                    assert await window.run(f"return {NAMELESS}.length") == 0, path
                    assert await window.run("return document.querySelectorAll('h1').length") == 1, path
                    # All of it is there without JavaScript.
                    assert await window.run("return document.scripts.length") == 0, path
