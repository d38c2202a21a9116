"""The pages by keyboard alone."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys as Key

from tests.integration.test_acting_on_page import window as window
from tests.monitoring.find_rig import audited
from tests.monitoring.full_desk import PATHS
from tests.monitoring.status_rig import StatusRig, serving
from tests.page.keyboard import Keyboard
from tests.page.window import Window

pytestmark = pytest.mark.browser

#: Counts what does something, and strikes out what gets the focus in view and with an outline.
WATCH = """
  const all = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter((each) => each.checkVisibility());
  window.left = new Set(all);
  document.addEventListener("focusin", ({ target }) => {
    const { top, bottom } = target.getBoundingClientRect();
    const seen = bottom > 0 && top < innerHeight && getComputedStyle(target).outlineStyle !== "none";
    if (seen) window.left.delete(target);
  });
  return all.length;
"""
LEFT = "return [...window.left].map((each) => each.outerHTML.slice(0, 120))"


@pytest.mark.parametrize("path", [path for path in PATHS if "nothing" not in path])
async def test_the_focus_reaches_and_shows_all_that_does_something(
    desk_url: str, window: Window, path: str
) -> None:
    await window.open(f"{desk_url}{path}")
    count = await window.run(WATCH)
    assert count > 1
    await window.press(*[Key.TAB] * (count + 5))
    assert await window.run(LEFT) == []


async def test_a_list_is_filtered_paged_and_followed_to_a_symbol(window: Window) -> None:
    rig = StatusRig()
    rig.publish("ETHUSDT", "1", age_sec=1.0)
    for number in range(130):
        audited(
            rig, f"plan-{number:04}", symbol="ETHUSDT" if number % 13 else "BTCUSDT", back_ms=200 - number
        )
    keyboard = Keyboard(window)
    async with serving(rig, within_sec=60) as client:
        await window.open(f"{client.base_url}/decisions")
        await keyboard.fill("[name=symbol]", "eth")
        await keyboard.press(Key.ENTER)
        await window.shows("120 of 130 match", "page 1 of 2")
        await keyboard.reach("[name=sort]")
        await keyboard.press("latency")
        await keyboard.enter("#filter button")
        await window.comes_true("location.search.includes('sort=latency')")
        await window.shows("120 of 130 match")
        await keyboard.enter("a[rel=next]")
        await window.shows("page 2 of 2")
        await keyboard.enter("a[rel=prev]")
        await window.shows("page 1 of 2")
        await keyboard.enter("td.plan a")
        await window.shows("✓ ALLOW", "Checks, in order")
        await keyboard.enter(".plan-id a")
        await window.comes_true("location.pathname === '/symbols/ETHUSDT'")
        await window.shows("Last decisions")
        assert await window.complaints() == []


async def test_one_of_several_that_begin_so_is_opened(desk_url: str, window: Window) -> None:
    keyboard = Keyboard(window)
    await window.open(f"{desk_url}/history")
    await keyboard.fill("#find-text", "plan-0")
    await keyboard.press(Key.ENTER)
    await window.shows("Several may be meant")
    await keyboard.enter(".candidates li:nth-child(3) a")
    await window.comes_true("location.pathname === '/plans/plan-0001'")


async def test_an_explanation_takes_the_focus_and_gives_it_back(desk_url: str, window: Window) -> None:
    keyboard = Keyboard(window)
    await window.open(desk_url)
    await keyboard.enter("#decisions tr:nth-child(2) a[data-explain]")
    await window.shows("Checks, in order", selector="#why")
    assert await window.run("return document.activeElement.closest('#why') !== null")
    await keyboard.press(Key.ESCAPE)
    await window.comes_true("!document.querySelector('#why').open")
    focused = "document.activeElement.matches('#decisions tr:nth-child(2) a[data-explain]')"
    assert await window.run(f"return {focused}")


async def test_a_dead_letter_is_opened_and_a_span_chosen(desk_url: str, window: Window) -> None:
    keyboard = Keyboard(window)
    await window.open(f"{desk_url}/waiting")
    await keyboard.enter("#dead-plans summary")
    await window.comes_true("document.querySelector('#dead-plans dl').checkVisibility()")
    await window.open(f"{desk_url}/history")
    await keyboard.enter(".spans a[href*='span=1h']")
    await window.shows("600 allowed")
    await keyboard.enter(".spans li:nth-child(4) a")
    await window.shows("until 2026")
