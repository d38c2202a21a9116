"""Snapshots are fresh, and changes known in time, whatever happens to stream and reads."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
import trio

from simulator import RunningSimulator, external_events, running
from tests.integration.daemon_process import DaemonProcess
from tests.integration.pipeline import full_close
from tests.integration.site import Site
from tests.integration.surroundings import POSITION_RISK, SYMBOLS, cut_stream
from tests.integration.waiting import until

#: Everything faster, so that much happens in a short test.
HASTE = {"P33_STREAM_PROOF_SEC": "0.2", "P33_POLL_SEC": "1", "P33_AUDIT_SEC": "2"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def move(simulator: RunningSimulator, symbol: str, amount: str, *, announced: bool = True) -> None:
    external_events.move_position(simulator.exchange, symbol, target=Decimal(amount), announced=announced)


def cpu_sec(daemon: DaemonProcess) -> float:
    """Return the CPU seconds of the process so far (Linux)."""
    with open(f"/proc/{daemon.process.pid}/stat") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_569_quiet_symbols_stay_fresh_for_next_to_nothing(redis_server: str) -> None:
    seconds = 60
    async with (
        running(latency_ms=300) as simulator,
        (site := Site(redis_server, simulator)).daemon() as daemon,
    ):
        symbols = list(site.exchange.listing.symbols)
        assert len(symbols) == 569
        for held in symbols[:100]:
            move(simulator, held, "1")
        await daemon.ready()
        await until(lambda: "private stream: connected" in daemon.output, "the stream")
        await trio.sleep(3)
        began_ms, began_cpu = now_ms(), cpu_sec(daemon)
        while now_ms() < began_ms + seconds * 1000:
            await trio.sleep(0.5)
            look = site.redis.pipeline(transaction=False)
            for symbol in symbols:
                look.hmget(f"quantum:position:snapshot:{symbol}", "ts_epoch_ms", "mark_ts_epoch_ms", "side")
            seen = look.execute()
            assert max(now_ms() - int(verified) for verified, _, _ in seen) <= 2500
            assert len([side for _, _, side in seen if side != "FLAT"]) >= 100
            assert max(now_ms() - int(marked) for _, marked, side in seen if side != "FLAT") <= 2500
            assert max(now_ms() - int(marked) for _, marked, _ in seen) <= 12_500
        used = (cpu_sec(daemon) - began_cpu) / ((now_ms() - began_ms) / 1000)
        weight = sum(record.weight for record in site.exchange.requests.records(since_ms=began_ms))
        assert weight <= 60
        assert used <= 0.05


async def expire(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.refuse_streams = True
    simulator.exchange.expire_listen_key(now=True)


async def freeze(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.freeze_new_streams = True
    simulator.streams.freeze("private")


@pytest.mark.parametrize("silence", [cut_stream, expire, freeze])
async def test_a_change_in_silence_is_known_after_a_poll_and_nothing_older_is_allowed_on(
    site: Site, silence: Callable[[RunningSimulator], Awaitable[None]]
) -> None:
    poll_sec, answer_sec, noticed_sec = 1.0, 0.1, 0.6
    exchange = site.exchange
    steps = {name: exchange.symbol(name).step_size for name in SYMBOLS}
    for name, step in steps.items():
        external_events.move_position(exchange, name, target=10 * step)
    async with site.daemon(HASTE) as daemon:
        await daemon.ready()
        exchange.faults.rest_latency_ms = answer_sec * 1000
        before = await site.ask("before", full_close(SYMBOLS[0]))
        assert before["allow"] and before["safe_close_qty"] == 10 * steps[SYMBOLS[0]]

        await silence(site.simulator)
        for name, step in steps.items():
            external_events.move_position(exchange, name, target=4 * step)
        moved_sec = trio.current_time()
        decided: dict[str, tuple[bool, dict[str, Any]]] = {}
        for name in SYMBOLS[1:]:
            lost = "private stream: lost" in daemon.output
            decided[name] = lost, await site.ask(f"close-{name}", full_close(name))
            await trio.sleep(0.1)
        known_sec = noticed_sec + poll_sec + answer_sec + 0.3 - (trio.current_time() - moved_sec)
        for name, step in steps.items():
            await site.snapshot_reaches(name, str(4 * step), within_sec=max(known_sec, 0))

    late = {name: answer for name, (lost, answer) in decided.items() if lost}
    assert len(late) >= 5
    for name, answer in late.items():
        # Decided when the loss was known: so by a read sent after it, and that shows the change.
        assert not answer["allow"]
        assert answer["reason"] == "reconcile_required_qty_mismatch"
        assert answer["exchange_position_amt"] == 4 * steps[name]


async def test_nothing_is_lost_or_distrusted_while_the_stream_rotates(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.user_stream.actor.ROTATE_AFTER_SEC", 0.5)
    monkeypatch.setattr("actors.user_stream.actor.OVERLAP_SEC", 0.2)
    quiet = {"P33_STREAM_PROOF_SEC": "0.1", "P33_AUDIT_SEC": "9", "P33_POLL_SEC": "9"}
    async with site.service(**quiet) as service:
        await until(lambda: (watch := service.channels.stream_status.value) and watch.trusted, "trust")
        keys = len(site.exchange.requests.records(path="/fapi/v1/listenKey"))
        reads = len(site.exchange.requests.records(path=POSITION_RISK))
        for number in range(1, 80):
            amount = str(Decimal(number) / 1000)
            move(site.simulator, "BTCUSDT", amount)
            await site.snapshot_reaches("BTCUSDT", amount, within_sec=0.2)
            await trio.sleep(0.04)
        requests = site.exchange.requests.records(path="/fapi/v1/listenKey")[keys:]
        status = service.channels.stream_status.value
        assert [request.method for request in requests].count("POST") >= 2, "rotated"
        assert len(site.exchange.requests.records(path=POSITION_RISK)) == reads
        assert status is not None and status.trusted and status.losses == 0


async def test_an_event_that_is_lost_silently_is_found_within_the_stale_threshold(site: Site) -> None:
    stale_sec = 3.0
    limits = HASTE | {"P33_STALE_THRESHOLD_SEC": f"{stale_sec:g}"}
    async with site.daemon(limits) as daemon:
        await daemon.ready()
        await trio.sleep(1)
        site.exchange.faults.rest_latency_ms = 300
        move(site.simulator, "BTCUSDT", "0.007", announced=False)
        await site.snapshot_reaches("BTCUSDT", "0.007", within_sec=stale_sec)
        await until(
            lambda: re.search(r"BTCUSDT: stream diverged .*held=0 read=0.007", daemon.output),
            "the divergence in the log",
        )


async def test_a_ban_is_waited_out_by_all_requests_and_by_a_daemon_started_during_it(site: Site) -> None:
    exchange = site.exchange
    often = HASTE | {"P33_AUDIT_SEC": "0.5"}

    def asked_since(since_ms: int) -> int:
        return len(exchange.requests.records(since_ms=since_ms))

    async with site.daemon(often) as daemon:
        await daemon.ready()
        exchange.weights.ban(exchange.host_ms(), 4000)
        ends_ms = exchange.weights.banned_until_ms
        await until(lambda: exchange.requests.records()[-1].status == 418, "a request meets the ban")
        met_ms = exchange.requests.records()[-1].wall_time_ms + 1
        await until(lambda: site.redis.keys("quantum:p33:*ban*"), "the ban is remembered")
        await trio.sleep(0.8)
        await daemon.stop(signal.SIGKILL)
        assert asked_since(met_ms) == 0
    async with site.daemon(often) as daemon:
        await daemon.url()
        # The exchange's own ban is over by then: what is sat out is the shortest pause after a 418, 60 s.
        while now_ms() < ends_ms + 500:
            assert asked_since(met_ms) == 0
            await trio.sleep(0.05)
    for key in site.redis.keys("quantum:p33:*ban*"):
        assert int(site.redis.get(key)) - met_ms > 50_000
        site.redis.delete(key)
    async with site.daemon(often) as daemon:
        move(site.simulator, "BTCUSDT", "0.007")
        await daemon.ready()
        await site.snapshot_reaches("BTCUSDT", "0.007", within_sec=3)
    assert [record.status for record in exchange.requests.records(since_ms=met_ms)].count(418) == 0
