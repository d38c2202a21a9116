"""Acts on the page in a real browser: by keyboard alone, on a phone, light and dark, and of another site."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import quote

import httpx
import pytest
from selenium.webdriver.common.keys import Keys as Key

from supervision import Heartbeat
from tests.background import background
from tests.integration.pipeline import entry
from tests.integration.site import Site
from tests.monitoring.acting_desk import STATE, TOKEN, hidden
from tests.monitoring.full_desk import PATHS, full_desk
from tests.monitoring.status_rig import StatusRig
from tests.page.browser import Browser
from tests.page.keyboard import Keyboard
from tests.page.test_rendering import read
from tests.page.window import Window

pytestmark = pytest.mark.browser


@pytest.fixture
async def served() -> AsyncIterator[tuple[StatusRig, str]]:
    rig = StatusRig(token=TOKEN)
    async with background(rig.metrics.run, Heartbeat()):
        yield rig, await rig.channels.http_address.changed()


@pytest.fixture
def window(chromium: Browser) -> Window:
    chromium.open("about:blank")
    chromium.driver.delete_all_cookies()
    chromium.complaints()
    return Window(chromium)


async def log_in(window: Window, keyboard: Keyboard) -> None:
    await keyboard.fill("#name", "ann")
    await keyboard.fill("#token", TOKEN)
    await keyboard.press(Key.ENTER)
    await window.shows("You act as ann")


async def test_the_trading_state_is_set_by_keyboard_alone(
    served: tuple[StatusRig, str], window: Window, chromium: Browser
) -> None:
    (rig, url), keyboard = served, Keyboard(window)
    await window.open(f"{url}/act")
    await log_in(window, keyboard)
    assert await window.run("return document.cookie") == ""
    await keyboard.reach("#state-active")
    await keyboard.press(Key.ARROW_DOWN)
    await keyboard.fill("#state-reason", "figures")
    await keyboard.press(Key.ENTER)
    await window.shows("Set the trading state to REDUCING (figures)?", "The trading state is ACTIVE.")
    assert rig.redis.get(STATE) is None
    await keyboard.reach("main button")
    await keyboard.press(Key.ENTER)
    await window.shows("✓ done", "The trading state is REDUCING.", selector="#done")
    assert rig.redis.get(STATE) == b"REDUCING"
    assert await window.run("return document.scripts.length") == 0
    assert await window.complaints() == []
    assert {each for each in await window.requested() if not each.startswith(f"{url}/")} <= {"data:,"}


async def test_the_refusal_of_a_wrong_token_is_shown(
    served: tuple[StatusRig, str], window: Window, chromium: Browser
) -> None:
    (_, url), keyboard = served, Keyboard(window)
    await window.open(f"{url}/act")
    await keyboard.fill("#name", "ann")
    await keyboard.fill("#token", "another-token-of-the-desk")
    await keyboard.press(Key.ENTER)
    await window.shows("The token is another.", "Open a session")


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
)
async def test_every_form_can_be_read_and_has_names_on_any_screen(
    served: tuple[StatusRig, str],
    window: Window,
    chromium: Browser,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    _, url = served
    await window.open(f"{url}/act", width=width, scheme=scheme)
    await log_in(window, Keyboard(window))
    assert await window.pale_texts() == []
    assert await window.run("return document.documentElement.scrollWidth <= innerWidth")
    unnamed = await window.run(
        "return [...document.querySelectorAll('main input:not([type=hidden]), main select')]"
        ".filter(each => each.labels.length === 0).map(each => each.outerHTML)"
    )
    assert unnamed == []
    apart = await window.run(
        "const top = (each) => each.getBoundingClientRect().top;"
        "return [...document.querySelectorAll('[type=radio], [type=checkbox]')]"
        ".filter(each => Math.abs(top(each) - top(each.labels[0])) > 12).map(each => each.id)"
    )
    assert apart == []


async def test_without_a_token_no_page_has_a_form_that_changes_anything(window: Window) -> None:
    rig = await full_desk(token="")
    async with background(rig.metrics.run, Heartbeat()):
        url = await rig.channels.http_address.changed()
        for path in (*PATHS, "/act"):
            await window.open(f"{url}{path}", width=360)
            methods = await window.run("return [...document.forms].map((each) => each.method)")
            assert set(methods) <= {"get"}, path
            assert await window.run("return document.querySelector('#bar a[href=\"/act\"]')") is None, path
        await window.shows("This page only shows", "Read-only.")
        assert await window.run("return document.documentElement.scrollWidth") == 360
        assert await window.faults() == []


async def test_a_form_of_another_site_changes_nothing_in_an_open_session(
    served: tuple[StatusRig, str], window: Window, chromium: Browser
) -> None:
    rig, url = served
    await window.open(f"{url}/act")
    await log_in(window, Keyboard(window))
    csrf = await window.run("return document.querySelector('[name=csrf]').value")
    form = (
        f"<form method=post action={url}/act/hold><input name=csrf value={csrf}>"
        "<input name=symbol value=BTCUSDT><input name=reason value=x><button>go</button></form>"
    )
    await window.open(f"data:text/html,{quote(form)}")
    await window.click("button")
    await window.shows("the form is of another site")
    assert rig.redis.keys() == []


async def test_a_running_daemon_holds_a_symbol_in_its_redis_and_denies_its_plans(site: Site) -> None:
    async with site.daemon({"P33_PAGE_TOKEN": TOKEN}) as daemon:
        url = await daemon.ready()
        async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"origin": url}) as client:
            await client.post("/act/session", data={"token": TOKEN, "name": "ann"})
            form = hidden(read((await client.get("/act")).text))
            form |= {"symbol": "BTCUSDT", "reason": "a drill"}
            question = await client.post("/act/hold", data=form)
            await client.post("/act/hold", data=hidden(read(question.text)))
            assert "BTCUSDT is held." in read((await client.get("/act")).text).text
        assert (await site.ask("plan-held", entry("BTCUSDT", "0.05")))["reason"] == "reconcile_hold_active"
    [(_, event)] = site.redis.xrange("quantum:stream:p33.events")
    assert (event["act"], event["by"]) == ("hold", "operator:ann")


async def test_an_act_that_a_redis_takes_but_does_not_answer_is_unknown_and_done_when_asked_again(
    site: Site,
) -> None:
    async with site.daemon({"P33_PAGE_TOKEN": TOKEN}) as daemon:
        url = await daemon.ready()
        async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"origin": url}) as client:

            async def outcome() -> str:
                await client.post("/act/hold", data=hidden(read(question.text)))
                return read((await client.get("/act")).text).text

            await client.post("/act/session", data={"token": TOKEN, "name": "ann"})
            form = hidden(read((await client.get("/act")).text))
            question = await client.post("/act/hold", data={**form, "symbol": "BTCUSDT", "reason": "a drill"})
            site.redis.client_pause(60_000, all=False)
            try:
                assert "? unknown Redis: no answer within" in await outcome()
            finally:
                site.redis.client_unpause()
            for _ in range(2):
                assert "✓ done" in await outcome()
    assert site.redis.get("quantum:reconcile:hold_sig:BTCUSDT") == "operator:ann"
    assert [event["event"] for _, event in site.redis.xrange("quantum:stream:reconcile.events")] == [
        "HOLD_SET"
    ]
