"""Notices of a running daemon: sent by webhook, listed on a page."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import trio

from commands import main
from monitoring.firing import STARTING_SEC
from tests.actors.notice_endpoint import Mode, NoticeEndpoint, notice_endpoint
from tests.commands.deployment import run_command
from tests.integration.pipeline import full_close
from tests.integration.site import Site
from tests.integration.waiting import until_async
from tests.monitoring.status_rig import StatusRig, serving
from tests.monitoring.test_notices import unknown
from tests.page.browser import Browser
from tests.page.contents import HOSTILE, INVISIBLE
from tests.page.window import Window

BAD: tuple[Mode, ...] = ("silent", "broken", "limiting", "endless", "endless_head", "redirect")
TRAP = "window.harm = []; window.boom = window.b = () => window.harm.push('ran')"


@pytest.fixture
def window(chromium: Browser) -> Window:
    """A window in which no page of an earlier test is left, nor what it logged."""
    chromium.open("about:blank")
    chromium.complaints()
    return Window(chromium)


def settings_for(*endpoints: NoticeEndpoint) -> dict[str, str]:
    return {"P33_NOTICE_URL": ",".join(f"json+http://127.0.0.1:{each.port}/x" for each in endpoints)}


@pytest.mark.process
@pytest.mark.redis
async def test_a_daemon_reports_within_two_seconds_whatever_its_other_addresses_do(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        bad = [await stack.enter_async_context(notice_endpoint(mode)) for mode in BAD]
        good = await stack.enter_async_context(notice_endpoint())
        async with site.daemon(settings_for(*bad, good)) as daemon:
            url = await daemon.ready()
            for number in range(5):
                await site.ask(f"plan-{number}", full_close("ETHUSDT"))
            denied_sec = trio.current_time()
            await good.until(lambda: len(good.requests) == 1)
            assert good.requests[0][2] - denied_sec < 2.0
            notice = good.bodies[0]
            assert (notice["kind"], notice["state"], notice["others"]) == ("all_denied", "firing", 0)

            for name, text in site.environ().items():
                monkeypatch.setenv(name, text)
            assert await run_command(main, ["acknowledge", "all_denied", "--by", "Ann"]) == 0
            async with httpx.AsyncClient(trust_env=False) as client:

                async def seen() -> bool:
                    return "seen by Ann" in (await client.get(f"{url}/notices")).text

                await until_async(seen, "the page names the person", 20)
                status: dict[str, Any] = (await client.get(f"{url}/status")).json()
            assert [(each["kind"], each["seen_by"]) for each in status["notices"]] == [("all_denied", "Ann")]
            assert status["ready"] is True
            shown = {each["name"]: each["value"] for each in status["settings"]}
            assert "/x" not in shown["P33_NOTICE_URL"]
            daemon.process.send_signal(signal.SIGTERM)
            with trio.fail_after(10):
                assert await daemon.process.wait() == 0
        silent, *others = bad
        assert len(silent.bodies) == 1 and all(each.bodies for each in others)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_and_can_be_read_on_every_screen(window: Window, width: int, scheme: Any) -> None:
    rig = StatusRig(environment={"P33_NOTICE_URL": f"slack+https://hooks.example/{'x' * 60}"})
    rig.clock.advance(STARTING_SEC)
    (delivery,) = rig.monitor.notices.deliveries
    delivery.trouble = "no answer within 5 s"
    unknown(rig, *(f"plan-{number}-{'x' * 80}" for number in range(20)), *HOSTILE, *INVISIBLE)
    async with serving(rig, within_sec=60) as client:
        await window.open(f"{client.base_url}/notices", width=width, scheme=scheme)
        await window.run(TRAP)
        text = await window.text()
        assert "unknown_execution" in text and "not_ready" in text and "no answer within 5 s" in text
        assert await window.run("return document.documentElement.scrollWidth") == width
        assert await window.pale_texts() == []
        assert await window.run("return document.querySelector('[aria-current]').textContent") == "Notices"
        assert await window.run("return window.harm") == []
        assert await window.complaints() == []
