"""Clocks as the field has them: a host's off Redis's, and entry ids ahead of Redis's clock (D4, D10)."""

from __future__ import annotations

import html
import re
import signal
import time

import pytest
import trio
from structlog.testing import capture_logs

import supervisor
from brain.moment import Moment
from clock import HostClock
from permit_gate import P33, GateRules, Granted
from permit_gate.trio_gate import open_trio_gate
from tests.integration.daemon_process import DaemonProcess
from tests.integration.http_side import body, metric, status
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, entry, executed, full_close
from tests.integration.site import Site
from tests.integration.surroundings import is_ready, is_unready, readiness, trade
from tests.integration.waiting import until, until_async

INTENTS = "quantum:stream:trade.intent"
HALF_HOUR_SEC, TWO_HOURS_SEC = 1_800, 7_200
AHEAD_SEC = [HALF_HOUR_SEC, TWO_HOURS_SEC]
_LOGGED_WITHIN_SEC = 1.0
#: `run`, with a wall clock that is 70 s ahead of everybody else's.
_RUN_70_S_AHEAD = """
import runpy, sys
import clock
from brain.moment import Moment
now = clock.HostClock.now
clock.HostClock.now = lambda self: Moment(now(self).monotonic_sec, now(self).wall_ms + 70_000)
sys.argv = ["commands", "run"]
runpy.run_module("commands", run_name="__main__")
"""


class ShiftedClock(HostClock):
    """This host's clocks, the wall clock off by `off_sec`."""

    off_sec = 0.0

    def now(self) -> Moment:
        now = super().now()
        return Moment(now.monotonic_sec, now.wall_ms + round(self.off_sec * 1000))


async def page(url: str) -> str:
    return html.unescape(await body(url, "/"))


async def snapshots_are_fresh(url: str) -> None:
    """Wait for the next proof: a step of the wall clock ages what was proven before by as much."""

    async def look() -> bool:
        await trio.sleep(0.05)
        return bool((await status(url))["snapshots"]["stale"] == 0)

    await until_async(look, "no snapshot is stale", within_sec=15)


async def is_let_through(site: Site, plan_id: str, fields: dict[str, str]) -> None:
    """Publish a plan, wait at the gate, and check that it is granted."""
    async with open_trio_gate(site.redis_url, GateRules(consumer="apply-layer")) as gate:
        site.publish_plan(plan_id, fields)
        # Longer than executors wait: a busy machine's delays are not what is looked at here.
        answer = await gate.acquire(plan_id, fields["symbol"], [P33], timeout_sec=5.0)
    assert isinstance(answer, Granted), answer


@pytest.mark.parametrize("off_sec", [-70.0, -7.0, -3.0, -1.5, 1.5, 3.0, 7.0, 70.0])
async def test_gates_take_the_permits_of_a_host_whose_clock_is_off(
    site: Site, monkeypatch: pytest.MonkeyPatch, off_sec: float
) -> None:
    host = ShiftedClock()
    monkeypatch.setattr(supervisor, "HostClock", lambda: host)
    trade(site.exchange, "BTCUSDT", "BUY", "1")
    side = "ahead of" if off_sec > 0 else "behind"
    reported = f"this host's clock is {abs(off_sec):.1f} s {side} Redis's"
    with capture_logs() as logged:
        async with site.service() as service:
            host.off_sec = off_sec
            shown = await status(service.url)
            assert shown["clocks"]["redis_offset_sec"] == pytest.approx(-off_sec, abs=0.1)
            assert await metric(service.url, "p33_redis_clock_offset_seconds") == pytest.approx(
                -off_sec, abs=0.1
            )
            assert reported in shown["clocks"]["troubles"]
            await until(lambda: any(line["event"] == f"Clocks: {reported}" for line in logged), "a warning")
            await snapshots_are_fresh(service.url)
            if abs(off_sec) > 3.0:
                await is_unready(service.url, reported)
            elif abs(off_sec) < 3.0:
                assert (await readiness(service.url))[0] == 200
            assert reported in await page(service.url)
            await is_let_through(site, "open", entry("ETHUSDT", "0.1"))
            await is_let_through(site, "exit", full_close("BTCUSDT"))
            host.off_sec = 0.0
            await is_ready(lambda: service.url, within_sec=15)
            assert (await status(service.url))["clocks"]["troubles"] == []


async def test_a_service_that_starts_with_a_clock_ahead_is_not_ready_and_issues_good_permits(
    site: Site,
) -> None:
    trade(site.exchange, "BTCUSDT", "BUY", "1")
    async with site.daemon({"P33_COOLDOWN_SEC": "15"}, ("-c", _RUN_70_S_AHEAD)) as daemon:
        url = await daemon.url()
        await is_unready(url, "this host's clock is 70.0 s ahead of Redis's", within_sec=10)
        await snapshots_are_fresh(url)
        await site.ledger_reaches("BTCUSDT", "1", within_sec=10)
        await is_let_through(site, "open", entry("ETHUSDT", "0.1"))
        site.fill("open", "ETHUSDT", "BUY", "0.1")
        await site.ledger_reaches("ETHUSDT", "0.1")
        denied = await site.ask("soon", full_close("ETHUSDT"))
        assert denied["reason"] == "cooldown_in_flight", "the ledger's order time is by Redis's clock, too"


class Ahead:
    """A daemon, and streams in which one entry's id is ahead of Redis's clock."""

    def __init__(self, daemon: DaemonProcess, url: str, pipeline: Pipeline, ahead_sec: int) -> None:
        self.daemon = daemon
        self.url = url
        self.pipeline = pipeline
        self._ahead_sec = ahead_sec

    async def put(self, stream: str, fields: dict[str, str]) -> None:
        """Publish `fields` under an id ahead; the log, `/status`, the page and a metric say so within 1 s."""
        name = stream.removeprefix("quantum:stream:")
        begun_sec, delayed_sec = trio.current_time(), self.daemon.run_delay_sec()
        self.pipeline.redis.xadd(stream, fields, id=f"{int((time.time() + self._ahead_sec) * 1000)}-0")
        shown_sec = f"({self._ahead_sec}|{self._ahead_sec - 1})"
        warning = re.compile(rf"new entries of {name} have ids {shown_sec} s ahead of Redis's clock")
        await until(lambda: warning.search(self.daemon.output), "a warning")
        # On a busy machine both processes wait for their turn.
        took_sec, waited_sec = trio.current_time() - begun_sec, self.daemon.run_delay_sec() - delayed_sec
        assert took_sec - waited_sec < _LOGGED_WITHIN_SEC, (took_sec, waited_sec)
        shown = (await status(self.url))["clocks"]
        assert shown["ids_ahead_sec"] == {name: pytest.approx(self._ahead_sec, abs=3)}
        assert len(shown["troubles"]) == 1 and warning.search(shown["troubles"][0])
        ahead_sec = await metric(self.url, "p33_stream_ids_ahead_seconds")
        assert ahead_sec == pytest.approx(self._ahead_sec, abs=3)
        assert f"new entries of {name} have ids" in await page(self.url)
        assert (await readiness(self.url))[0] == 200


@pytest.mark.parametrize("ahead_sec", AHEAD_SEC)
async def test_one_plan_id_ahead_changes_no_decision(site: Site, ahead_sec: int) -> None:
    for symbol in ("BTCUSDT", "SOLUSDT", "LTCUSDT"):
        trade(site.exchange, symbol, "BUY", "1")
    settings = {"P33_COOLDOWN_SEC": "15"}
    async with site.daemon(settings) as daemon:
        ahead = Ahead(daemon, await daemon.ready(), site, ahead_sec)
        await ahead.put(PLANS, entry("ETHUSDT", "0.1") | {"plan_id": "ahead", "decision": "HOLD"})
        site.redis.set("quantum:cooldown:last_exec_ts:BTCUSDT", str(int(time.time() * 1000)))
        assert (await site.ask("cooling", full_close("BTCUSDT")))["reason"] == "cooldown_in_flight"
        await is_let_through(site, "exit", full_close("SOLUSDT"))
        await is_let_through(site, "open", entry("ETHUSDT", "0.1"))
        assert await metric(ahead.url, "p33_decision_latency_seconds_sum") < 5
        await daemon.stop(signal.SIGTERM)
    site.publish_plan("unread", full_close("LTCUSDT"))
    async with site.daemon(settings) as daemon:
        await daemon.ready()
        assert (await site.permit("unread", 5.0))["reason"] == "plan_expired"
        await is_let_through(site, "again", full_close("LTCUSDT"))


@pytest.mark.parametrize("ahead_sec", AHEAD_SEC)
async def test_one_result_id_ahead_changes_no_booking_and_no_decision(site: Site, ahead_sec: int) -> None:
    async with site.daemon() as daemon:
        ahead = Ahead(daemon, await daemon.ready(), site, ahead_sec)
        await is_let_through(site, "open", entry("ETHUSDT", "0.1"))
        order = trade(site.exchange, "ETHUSDT", "BUY", "0.1")
        await ahead.put(RESULTS, executed("open", "ETHUSDT", order.order_id, "BUY", order.executed))
        await site.ledger_reaches("ETHUSDT", "0.1")
        await is_let_through(site, "another", entry("SOLUSDT", "1"))
        site.fill("another", "SOLUSDT", "BUY", "1")
        await is_let_through(site, "exit", full_close("SOLUSDT"))
        await site.ledger_reaches("SOLUSDT", "1")
        assert await metric(ahead.url, "p33_ledger_lag_seconds_sum") < 5


async def test_one_intent_id_ahead_is_named_and_changes_no_decision(site: Site) -> None:
    async with site.daemon() as daemon:
        ahead = Ahead(daemon, await daemon.ready(), site, HALF_HOUR_SEC)
        await ahead.put(INTENTS, {"symbol": "BTCUSDT"})
        await is_let_through(site, "open", entry("ETHUSDT", "0.1"))
