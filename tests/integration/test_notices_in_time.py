"""A running daemon's notice of each kind arrives within 2 s of its cause, and so does that of its end."""

from __future__ import annotations

import signal

import pytest
import trio

from monitoring.outbox import OVER_AFTER_SEC
from tests.actors.notice_endpoint import NoticeEndpoint, notice_endpoint
from tests.brain.unknown_wordings import UNKNOWN
from tests.integration.governed_plans import TRADING_STATE, knows_the_account, prices_are_known
from tests.integration.http_side import status
from tests.integration.pipeline import entry, full_close
from tests.integration.reconciled import Reconciled
from tests.integration.rigs import QUARTER
from tests.integration.site import Site
from tests.integration.surroundings import trade
from tests.integration.test_field_unknown import (
    GRACE,
    GRACE_ENDS_SEC,
    hold_four,
    may_close,
    partial_close,
    refused,
)
from tests.integration.test_notices import settings_for
from tests.integration.waiting import until_async

pytestmark = [pytest.mark.process, pytest.mark.redis]

_IN_TIME_SEC = 2.0
_LOOK_SEC = 0.05


class Notified:
    """An address that is sent notices, beside the daemon's own list of what fires."""

    def __init__(self, endpoint: NoticeEndpoint, url: str) -> None:
        self._endpoint = endpoint
        self._url = url

    async def begins(self, kind: str, subject: str = "", within_sec: float = 20.0) -> None:
        """Wait until it fires, and check that its notice is not later than 2 s."""
        await self._in_time(kind, subject, "firing", within_sec)

    async def ends(self, kind: str, subject: str = "", within_sec: float = 20.0) -> None:
        """Wait until it is over, and check that 10 s later its notice is not later than 2 s."""
        await self._in_time(kind, subject, "resolved", within_sec)

    async def _in_time(self, kind: str, subject: str, state: str, within_sec: float) -> None:
        async def there() -> bool:
            await trio.sleep(_LOOK_SEC)
            shown = (await status(self._url))["notices"]
            fires = any((each["kind"], each["subject"]) == (kind, subject) for each in shown)
            return fires == (state == "firing")

        def arrived() -> list[float]:
            wanted = (kind, subject, state)
            return [
                at_sec
                for _, body, at_sec in self._endpoint.requests
                if (body["kind"], body["subject"], body["state"]) == wanted
            ]

        await until_async(there, f"{kind} {subject} is {state}", within_sec)
        due_sec = trio.current_time() + (OVER_AFTER_SEC if state == "resolved" else 0.0)
        await self._endpoint.until(lambda: bool(arrived()), 20)
        assert arrived()[0] - due_sec < _IN_TIME_SEC, (kind, state)


async def test_denials_unknown_executions_and_divergences_are_reported_in_time(site: Site) -> None:
    async with notice_endpoint() as endpoint, site.daemon({**settings_for(endpoint), **GRACE}) as daemon:
        notified = Notified(endpoint, await daemon.ready())
        for number in range(5):
            await site.ask(f"flat-{number}", full_close("ETHUSDT"))
        await notified.begins("all_denied")
        assert (await site.ask("open-1", entry("BTCUSDT", "0.05")))["allow"]
        await notified.ends("all_denied")

        await hold_four(site.exchange, site, "SOLUSDT")
        assert await may_close(site, "plan-1", partial_close("SOLUSDT")) == 3
        site.publish_result(refused("plan-1", "SOLUSDT", error=UNKNOWN[0]))
        await notified.begins("unknown_execution", "plan-1")
        await notified.ends("unknown_execution", "plan-1", GRACE_ENDS_SEC + 10)

        order = trade(site.exchange, "XRPUSDT", "BUY", "100")
        await notified.begins("divergence", "XRPUSDT")
        site.publish_fill("late-1", order)
        await notified.ends("divergence", "XRPUSDT")


async def test_a_ban_and_an_unready_service_are_reported_in_time(site: Site) -> None:
    async with notice_endpoint() as endpoint, site.daemon({**settings_for(endpoint), **QUARTER}) as daemon:
        notified = Notified(endpoint, await daemon.ready())
        site.exchange.weights.ban(site.exchange.host_ms(), 4000)
        await notified.begins("ban")
        # Without its audits the stream is believed for 15 s more.
        await notified.begins("not_ready", within_sec=30)


async def test_cases_and_a_disarm_are_reported_in_time(reconciled: Reconciled) -> None:
    site = reconciled
    site.moved("SOLUSDT", "100")
    settings = {
        "P33_GOVERNOR": "on",
        "GOV_MAX_EXEC_PER_5MIN": "1",
        "GOV_SYMBOL_COOLDOWN_SECONDS": "0",
        "GOV_MAX_TOTAL_NOTIONAL_USDT": "1000000",
    }
    async with notice_endpoint() as endpoint, site.daemon({**settings_for(endpoint), **settings}) as daemon:
        url = await daemon.url()
        notified = Notified(endpoint, url)
        site.moved("SOLUSDT", "-50", sender="web")
        await notified.begins("case", "SOLUSDT")
        await site.needs_person("SOLUSDT")
        site.accept("SOLUSDT")
        await notified.ends("case", "SOLUSDT")

        await knows_the_account(url)
        await prices_are_known(site.redis, "XRPUSDT")
        for number in range(2):
            site.publish_plan(f"open-{number}", {**entry("XRPUSDT", "20"), "kill_score": "0.4"})
        await notified.begins("disarm")
        site.redis.set(TRADING_STATE, "ACTIVE")
        await notified.ends("disarm")


async def test_a_restart_limit_that_comes_near_is_reported_in_time(site: Site) -> None:
    program = ("-m", "tests.integration.hopeless_daemon", "permit_evaluator", "8")
    async with notice_endpoint() as endpoint, site.daemon(settings_for(endpoint), program) as daemon:
        notified = Notified(endpoint, await daemon.ready())
        daemon.process.send_signal(signal.SIGUSR1)
        await notified.begins("restart_limit", "decisions")
        assert daemon.alive
