"""axe-core finds nothing serious or critical on any page, in either scheme and on a phone."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.integration.test_acting_on_page import log_in
from tests.integration.test_acting_on_page import window as window
from tests.monitoring.full_desk import PATHS
from tests.page.keyboard import Keyboard
from tests.page.window import Window

pytestmark = pytest.mark.browser


def listed(faults: dict[str, list[str]]) -> str:
    return "\n".join(f"{page} {fault}" for page, found in faults.items() for fault in found)


async def test_axe_finds_no_serious_fault_on_pages_that_show(desk_url: str, window: Window) -> None:
    faults: dict[str, list[str]] = {}
    for path in PATHS:
        await window.open(f"{desk_url}{path}")
        await window.run("for (const each of document.querySelectorAll('.letter')) each.open = true")
        faults[path] = await window.faults()
    assert not any(faults.values()), listed(faults)


async def test_axe_finds_no_serious_fault_where_a_person_acts(desk_url: str, window: Window) -> None:
    faults: dict[str, list[str]] = {}
    await window.open(f"{desk_url}/")
    await window.click("#decisions a[data-explain]")
    await window.shows("Checks, in order", selector="#why")
    faults["the explanation on /"] = await window.faults()
    await window.open(f"{desk_url}/act")
    faults["/act without a session"] = await window.faults()
    await log_in(window, Keyboard(window))
    faults["/act in a session"] = await window.faults()
    await window.run("document.querySelector('#hold-symbol').value = 'ETHUSDT'")
    await window.run("document.querySelector('#hold-reason').value = 'a drill'")
    await window.click("form[action='/act/hold'] button")
    await window.shows("Yes, do it")
    faults["/act with a question"] = await window.faults()
    await window.click("main button")
    await window.shows("done", selector="#done")
    faults["/act with an outcome"] = await window.faults()
    assert not any(faults.values()), listed(faults)


async def test_axe_names_rule_and_element_of_a_fault(window: Window) -> None:
    page = (
        "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src=//127.0.0.1/x>"
        "<p style='color: #aaa'>pale</p><input><a href=/>to</a></main>"
    )
    await window.open(f"data:text/html,{quote(page)}")
    faults = await window.faults()
    assert sorted(" ".join(each.split()[:3]) for each in faults) == [
        "dark: serious color-contrast",
        "light: critical image-alt",
        "light: critical label",
        "light: serious color-contrast",
        "phone: critical image-alt",
        "phone: critical label",
    ]
    assert any("image-alt" in each and '<img src="//127.0.0.1/x">' in each for each in faults)


async def test_each_page_that_the_bar_leads_to_is_looked_at(desk_url: str, window: Window) -> None:
    await window.open(desk_url)
    led = await window.run("return [...document.querySelectorAll('#bar a')].map((e) => e.pathname)")
    assert set(led) <= {path.partition("?")[0] for path in (*PATHS, "/act")}
