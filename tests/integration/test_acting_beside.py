"""Forms beside what they act on in a real browser: by keyboard and without script, on any screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from selenium.webdriver.common.keys import Keys as Key

from tests.integration.test_acting_on_page import log_in
from tests.integration.test_acting_on_page import served as served
from tests.integration.test_acting_on_page import window as window
from tests.monitoring.status_rig import StatusRig
from tests.monitoring.test_acting_beside import letter
from tests.monitoring.test_notices import unknown
from tests.page.browser import Browser
from tests.page.contents import HOSTILE
from tests.page.keyboard import Keyboard
from tests.page.window import Window

pytestmark = pytest.mark.browser


@pytest.fixture
def without_script(chromium: Browser) -> Iterator[None]:
    chromium.scripts(run=False)
    yield
    chromium.scripts(run=True)


@pytest.mark.usefixtures("without_script")
async def test_a_dead_letter_is_published_again_from_its_place_without_script(
    served: tuple[StatusRig, str], window: Window
) -> None:
    (rig, url), keyboard = served, Keyboard(window)
    letter(rig)
    await window.open(f"{url}/waiting")
    assert await window.run("return document.querySelectorAll('form[method=post]').length") == 0
    await window.open(f"{url}/act")
    await log_in(window, keyboard)
    await window.open(f"{url}/waiting")
    await keyboard.reach("#dead-results summary")
    await keyboard.press(Key.ENTER)
    await keyboard.fill("#dead-results [name=reason]", "repaired")
    await keyboard.press(Key.ENTER)
    await window.shows("of apply.result again (repaired)?")
    await keyboard.reach("main button")
    await keyboard.press(Key.ENTER)
    await window.shows("✓ done", "It is published again as", selector="#outcome")
    assert await window.run("return location.pathname") == "/waiting"
    assert [fields[b"plan_id"] for _, fields in rig.redis.xrange(rig.keys.results)] == [b"p-1"]
    assert await window.complaints() == []


async def test_typed_text_stays_while_the_page_of_notices_follows(
    served: tuple[StatusRig, str], window: Window
) -> None:
    (rig, url), keyboard = served, Keyboard(window)
    unknown(rig, "plan-2")
    await window.open(f"{url}/act")
    await log_in(window, keyboard)
    await window.open(f"{url}/notices")
    await keyboard.reach("#notices [name=hours]")
    await keyboard.press(Key.BACKSPACE)
    await keyboard.press("7")
    unknown(rig, "plan-1", "plan-2")
    rig.clock.advance(1)
    await window.comes_true("document.querySelector('#notices').hasAttribute('data-paused')")
    await keyboard.press(Key.ENTER)
    text = await window.shows("Mark unknown_execution of plan-2 as seen by ann until")
    assert "2026-09-21T21:13:21" in text
    await keyboard.reach("main button")
    await keyboard.press(Key.ENTER)
    await window.shows("seen by ann until", "plan-1", selector="#notices")


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
)
async def test_forms_beside_fit_every_screen_and_can_be_read(
    served: tuple[StatusRig, str],
    window: Window,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    rig, url = served
    unknown(rig, f"plan-{'x' * 80}", *HOSTILE)
    for error in HOSTILE:
        letter(rig, error)
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift")
    await window.open(f"{url}/act")
    await log_in(window, Keyboard(window))
    for path in ("/waiting", "/notices", "/symbols/BTCUSDT"):
        await window.open(f"{url}{path}", width=width, scheme=scheme)
        await window.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert await window.run("return document.querySelectorAll('form.beside').length") > 0
        assert await window.pale_texts() == []
        assert await window.run("return document.documentElement.scrollWidth <= innerWidth")
        unnamed = await window.run(
            "return [...document.querySelectorAll('main input:not([type=hidden])')]"
            ".filter(each => each.labels.length === 0).length"
        )
        assert unnamed == 0
        assert await window.complaints() == []
