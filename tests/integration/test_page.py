"""The page of a running daemon, in a real browser."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from simulator import SimulatedExchange, running
from simulator.symbols import Symbol, load_symbols
from tests.integration.daemon_process import DaemonProcess
from tests.integration.pipeline import PLANS, RESULTS, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, trade
from tests.page.browser import Browser
from tests.page.contents import HOSTILE, INVISIBLE
from tests.page.window import PATIENCE_SEC, Window

pytestmark = pytest.mark.browser

#: What a symbol may be: 32 characters, none of which separates names in keys.
HOSTILE_SYMBOLS = (
    "<img/src=x/onerror=boom()>",
    "<script>boom()</script>",
    '"/onmouseover="boom()"/x="',
    "'onfocus='boom()",
    "</title></style><svg/onload=b()>",
)
TRAP = "window.harm = []; window.boom = window.b = () => window.harm.push('ran')"


@pytest.fixture
def window(chromium: Browser) -> Window:
    """A window in which no page of an earlier test is left, nor what it logged."""
    chromium.open("about:blank")
    chromium.complaints()
    return Window(chromium)


def hostile_exchange() -> SimulatedExchange:
    """Return the usual exchange, which also lists hostile names of symbols."""
    listed = load_symbols()
    symbols: dict[str, Symbol] = {name: listed[name] for name in SYMBOLS}
    for name in HOSTILE_SYMBOLS:
        symbols[name] = msgspec.structs.replace(listed["BTCUSDT"], name=name, base_asset=name[:20])
    return SimulatedExchange(symbols=symbols)


@asynccontextmanager
async def daemon_on(site: Site, **settings: str) -> AsyncIterator[tuple[DaemonProcess, str]]:
    """A ready daemon, and where its page is, which has nothing to complain of: Redis forgets nothing."""
    site.redis.config_set("appendonly", "yes")
    async with site.daemon(settings) as daemon:
        yield daemon, f"{await daemon.ready()}/"


async def test_the_page_follows_the_plans_as_they_flow(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        await window.open(url)
        text = await window.shows("Position State Brain", "Ready")
        assert "No plan was decided by this process yet." in text
        await window.run("window.loadedOnce = true")
        permit = await site.ask("plan-open", entry("BTCUSDT", "0.05"))
        assert permit["allow"] is True
        await window.shows("BTCUSDT", "✓ allow", "open_permit_granted", "BUY 0.05", selector="#decisions")
        await site.ask("plan-flat", full_close("ETHUSDT"))
        await window.shows("ETHUSDT", "✕ deny", "no_position", selector="#decisions")
        await window.shows("2 decisions", selector="#gates")

        order = trade(site.exchange, "BTCUSDT", "BUY", "0.05")
        await window.shows("BTCUSDT\t0.05\t0\t0.05", selector="#holdings")
        site.publish_fill("plan-open", order)
        await window.shows("they agree", "BTCUSDT\t0.05\t0.05\tnone", selector="#holdings")
        await window.comes_true("document.querySelector('.heat li[title^=\"BTCUSDT \"].held') !== null")

        site.redis.set("quantum:reconcile:hold:SOLUSDT", "drift", ex=300)
        await window.shows("SOLUSDT", "held", selector="#holds-and-cooldowns")
        assert await window.run("return window.loadedOnce") is True
        assert await window.complaints() == []
        assert {requested.split("?")[0] for requested in await window.requested()} == {
            url, *(f"{url}page/{name}" for name in ("page.css", "page.js", "icon.svg")),
        }  # fmt: skip


async def test_a_decision_opens_its_explanation_and_lets_go_of_it(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        await site.ask("plan-flat", full_close("ETHUSDT"))
        await window.open(url)
        await window.shows("no_position", selector="#decisions")
        assert await window.text("#why-body") == ""
        await window.click("#decisions a[data-explain]")
        reported = await window.shows("plan-flat", selector="#why")
        assert "The plan closes or protects a position, and there is none." in reported
        assert "exchange 0, side CLOSE, no quantity, is: close → no_position" in " ".join(reported.split())
        assert "kill_score" in reported and "still there, expires in" in reported
        assert await window.run("return document.querySelector('#why').matches(':modal')") is True
        assert await window.run("return location.pathname") == "/"
        await window.click("#why-close")
        await window.comes_true("!document.querySelector('#why').open")

        # Without script the same link is a page of its own.
        await window.open(f"{url}explanation?plan=plan-flat")
        assert "no_position" in await window.text("h1")
        await window.open(f"{url}explanation?plan=of-long-ago")
        assert "Not remembered" in await window.text("h1")
        complaints = await window.complaints()
        assert [line for line in complaints if "404" not in line] == []


async def test_hostile_symbols_and_plans_do_no_harm(redis_server: str, window: Window) -> None:
    async with (
        running(hostile_exchange()) as simulator,
        daemon_on(site := Site(redis_server, simulator), P33_ALLOWLIST=",".join(SYMBOLS)) as (_, url),
    ):
        for symbol in HOSTILE_SYMBOLS:
            trade(site.exchange, symbol, "BUY", "0.05")
        for number, text in enumerate((*HOSTILE, *INVISIBLE)):
            symbol = HOSTILE_SYMBOLS[number % len(HOSTILE_SYMBOLS)]
            fields = {**full_close(symbol), text: text, "reason": text, "source": text, "action": text}
            plan_id = text if text.isascii() and text.isprintable() else f"plan-{number}"
            await site.ask(plan_id, fields)
            await site.ask(f"{plan_id}-symbol", {**full_close(symbol), "symbol": text})
            site.redis.set(f"quantum:reconcile:hold:{symbol}", text, ex=300)
        await site.nothing_pends(PLANS)
        await window.open(url)
        await window.run(TRAP)
        text = await window.shows(*HOSTILE_SYMBOLS, selector="#holdings")
        assert await window.text("#decisions table") != ""
        links = await window.run("return document.querySelectorAll('a[data-explain]').length")
        assert links == 2 * len(HOSTILE + INVISIBLE)
        for number in range(links):
            await window.run("document.querySelectorAll('a[data-explain]')[arguments[0]].click()", number)
            await window.comes_true("document.querySelector('#why').open")
            reported = await window.text("#why")
            assert "Checks, in order" in reported
            assert all(character.isprintable() or character in "\n\t" for character in reported)
            await window.click("#why-close")
        await window.shows(*HOSTILE_SYMBOLS, "held", selector="#holds-and-cooldowns")
        # Each element is focused and pointed at, for handlers that might have got in.
        await window.run(
            "for (const e of document.querySelectorAll('*')) {"
            " e.dispatchEvent(new MouseEvent('mouseover')); e.focus?.(); }"
        )
        text = await window.text()
        assert all(character.isprintable() or character in "\n\t" for character in text)
        assert await window.run("return window.harm") == []
        inside = "#main script, #main iframe, #main img, #why img, #why script, svg[onload]"
        assert await window.run(f"return document.querySelectorAll('{inside}').length") == 0
        assert await window.complaints() == []
        assert all(requested.startswith(url) for requested in await window.requested())
        # Nothing that long makes a phone scroll sideways.
        await window.open(url, width=360)
        assert await window.run("return document.documentElement.scrollWidth") == 360


async def test_script_that_got_in_would_not_run(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        await window.open(url)
        await window.run(TRAP)
        for attempt in (
            "const s = document.createElement('script'); s.textContent = 'boom()'; document.body.append(s)",
            "document.body.innerHTML += '<img src=x onerror=boom()>'",
            "document.body.setAttribute('onclick', 'boom()'); document.body.click()",
        ):
            await window.run(f"try {{ {attempt} }} catch {{ /* refused at once */ }}")
        await window.comes_true("document.readyState === 'complete'")
        assert await window.run("return window.harm") == []
        assert len(await window.complaints()) == 3


async def test_the_page_can_be_read_on_a_phone_and_in_both_schemes(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        for number in range(3):
            await site.ask(f"plan-{number}", full_close("ETHUSDT"))
        await site.ask("plan-open", entry("BTCUSDT", "0.05"))
        grounds = set()
        for scheme in ("light", "dark"):
            for width in (360, 800, 1280):
                await window.open(url, width=width, scheme=scheme)
                await window.shows("no_position", selector="#decisions")
                await window.run("for (const d of document.querySelectorAll('details')) d.open = true")
                assert await window.run("return document.documentElement.scrollWidth") == width
                assert await window.pale_texts() == []
                await window.click("#decisions a[data-explain]")
                await window.shows("Checks, in order", selector="#why")
                assert await window.pale_texts() == []
            grounds.add(await window.run("return getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2
        assert await window.complaints() == []


async def test_an_opened_part_stays_open_and_denials_can_be_picked_out(site: Site, window: Window) -> None:
    async with daemon_on(site) as (_, url):
        await site.ask("plan-open", entry("BTCUSDT", "0.05"))
        await window.open(url)
        await window.run("document.querySelector('#settings details').open = true")
        await window.click("#only-denied")
        before = await window.text("#as-of")
        await site.ask("plan-flat", full_close("ETHUSDT"))
        await window.shows("no_position", selector="#decisions")
        await window.comes_true(f"document.querySelector('#as-of').innerText !== {before!r}")
        assert "open_permit_granted" not in await window.text("#decisions")
        assert "P33_ALLOWLIST" in await window.text("#settings")
        assert "BINANCE_API_SECRET\t***" in await window.text("#settings")
        assert site.exchange.api_secret not in await window.run("return document.documentElement.outerHTML")


async def test_trouble_is_shown_in_the_first_line_and_a_page_without_a_daemon_says_that_it_is_old(
    site: Site, window: Window
) -> None:
    async with daemon_on(site) as (daemon, url):
        await window.open(url)
        await window.shows("Ready", selector="#overall")
        trade(site.exchange, "BTCUSDT", "BUY", "0.05")
        await window.shows("Ready, 1 warning", selector="#overall")
        await window.shows("ledger and exchange differ for BTCUSDT", selector="#overall")
        await daemon.stop(signal.SIGTERM)
        with trio.fail_after(PATIENCE_SEC):
            reported = await window.shows("what is shown is old", selector="#lost")
        assert reported.startswith("No answer since ")
        assert await window.run("return document.body.classList.contains('lost')") is True
        assert site.entries(RESULTS) == []
