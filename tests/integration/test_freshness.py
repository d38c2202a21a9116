"""Snapshots are true whatever happens to stream and reads, by the simulator's own history."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
import trio

from commands.clients.embedded_redis import private_redis
from simulator import RunningSimulator, external_events, running
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import full_close
from tests.integration.site import Site
from tests.integration.snapshot_claims import Claim, SnapshotClaims, watched_claims
from tests.integration.surroundings import SYMBOLS, environment, small_exchange
from tests.integration.waiting import until

POSITION_RISK = "/fapi/v2/positionRisk"
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
        await daemon.ready()
        await until(lambda: "private stream: connected" in daemon.output, "the stream")
        await trio.sleep(3)
        began_ms, began_cpu = now_ms(), cpu_sec(daemon)
        while now_ms() < began_ms + seconds * 1000:
            await trio.sleep(0.5)
            look = site.redis.pipeline(transaction=False)
            for symbol in symbols:
                look.hmget(f"quantum:position:snapshot:{symbol}", "ts_epoch_ms", "mark_ts_epoch_ms")
            seen = look.execute()
            assert max(now_ms() - int(verified) for verified, _ in seen) <= 2500
            assert max(now_ms() - int(marked) for _, marked in seen) <= 2500
        used = (cpu_sec(daemon) - began_cpu) / ((now_ms() - began_ms) / 1000)
        weight = sum(record.weight for record in site.exchange.requests.records(since_ms=began_ms))
        assert weight <= 60
        assert used <= 0.05


@pytest.mark.parametrize("by_stream", [True, False], ids=["stream", "reads alone"])
async def test_slow_answers_among_many_fills_never_take_a_snapshot_back(site: Site, by_stream: bool) -> None:
    """A fill every 100 ms, answers of 800 ms, a read every half second: each answer is older than some fills.

    Without a stream the fills go round all symbols: what changes while it is read cannot be dated.
    """
    often = HASTE | {"P33_AUDIT_SEC": "0.5", "P33_POLL_SEC": "0.5"}
    filled = ("BTCUSDT",) if by_stream else SYMBOLS
    steps = {name: site.exchange.symbol(name).step_size for name in SYMBOLS}
    looks = 0
    async with (
        watched_claims(site.redis_url) as watch,
        site.daemon(often) as daemon,
    ):
        await daemon.ready()
        pushed_ms = await calibrated(site.simulator, watch)
        site.exchange.faults.rest_latency_ms = 800
        if not by_stream:
            await cut(site.simulator)

        async def fill() -> None:
            for name in itertools.cycle(filled):
                external_events.move_position(site.exchange, name, delta=steps[name])
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fill)
            latest = dict.fromkeys(filled, (Decimal(0), 0))
            while looks < 10_000:
                look = site.redis.pipeline(transaction=False)
                seen_of = [filled[number % len(filled)] for number in range(100)]
                for name in seen_of:
                    look.hmget(f"quantum:position:snapshot:{name}", "position_amt", "ts_epoch_ms")
                for name, (amount, verified_ms) in zip(seen_of, look.execute(), strict=True):
                    seen = (Decimal(amount), int(verified_ms))
                    assert seen[0] >= latest[name][0] and seen[1] >= latest[name][1]
                    latest[name] = seen
                    looks += 1
                await trio.sleep(0.06)
            nursery.cancel_scope.cancel()
        moved = sum(amount / steps[name] for name, (amount, _) in latest.items())
        assert moved > 30, "the fills were seen"
        assert len(site.exchange.requests.records(path=POSITION_RISK)) > 5
    assert list(watch.steps_back()) == []
    assert [claim for claim in watch.claims if not honest(site.simulator, claim, pushed_ms)] == []


class Conditions(msgspec.Struct, frozen=True):
    """Conditions of a run: its random choices, the exchange's clock and the account's mode."""

    seed: int
    clock_skew_ms: int = 0
    hedge: bool = False


CONDITIONS = (
    Conditions(1),
    Conditions(2, clock_skew_ms=-2_500),
    Conditions(3, clock_skew_ms=1_700),
    Conditions(4, hedge=True),
    Conditions(5),
)


class WatchedDaemon(msgspec.Struct, frozen=True):
    """A daemon under such conditions, and its claims; its pushes are dated to `pushed_ms`."""

    conditions: Conditions
    simulator: RunningSimulator
    daemon: DaemonProcess
    watch: SnapshotClaims
    pushed_ms: int


@asynccontextmanager
async def watched_daemon(conditions: Conditions) -> AsyncIterator[WatchedDaemon]:
    hurried = {"P33_STREAM_PROOF_SEC": "0.1", "P33_POLL_SEC": "0.3", "P33_AUDIT_SEC": "0.7"}
    async with private_redis() as redis_url, running(small_exchange()) as simulator:
        simulator.exchange.faults.clock_skew_ms = conditions.clock_skew_ms
        if conditions.hedge:
            simulator.exchange.set_hedge_mode(True)
        async with (
            watched_claims(redis_url) as watch,
            daemon_process(environment(redis_url, simulator, hurried)) as daemon,
        ):
            await daemon.ready()
            yield WatchedDaemon(conditions, simulator, daemon, watch, await calibrated(simulator, watch))


async def test_every_snapshot_ever_written_was_the_position_at_its_time() -> None:
    async with AsyncExitStack() as stack:
        # They start one after the other: how exactly pushes are dated is measured while none is busy.
        watched = [await stack.enter_async_context(watched_daemon(each)) for each in CONDITIONS]
        async with trio.open_nursery() as nursery:
            for each in watched:
                nursery.start_soon(trade_through_breakdowns, each)
    for each in watched:
        simulator, watch = each.simulator, each.watch
        assert len(watch.claims) > 400
        assert {claim.verified_by for claim in watch.claims} == {"rest", "stream"}, each.conditions
        dishonest = [claim for claim in watch.claims if not honest(simulator, claim, each.pushed_ms)]
        assert dishonest == [], each.conditions
        assert list(watch.steps_back()) == [], each.conditions


async def trade_through_breakdowns(watched: WatchedDaemon) -> None:
    """Until there is enough to judge, and the daemon knows the positions in which that ended."""
    simulator, watch, conditions = watched.simulator, watched.watch, watched.conditions
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trade_at_random, simulator, Random(f"{conditions.seed}:fills"))  # noqa: S311
        nursery.start_soon(break_at_random, simulator, Random(f"{conditions.seed}:faults"))  # noqa: S311
        await trio.sleep(6)
        # A busy machine writes less in that time; the faults go on until there is enough to judge.
        await until(lambda: len(watch.claims) > 400, f"enough claims to judge {conditions}", within_sec=30)
        nursery.cancel_scope.cancel()
    simulator.streams.thaw()
    restore(simulator)
    await agrees_with(simulator, watch)
    assert "diverged" not in watched.daemon.output, conditions


def restore(simulator: RunningSimulator) -> None:
    """End all faults; the exchange's clock stays what it is."""
    faults = simulator.exchange.faults
    skew_ms = faults.clock_skew_ms
    faults.clear()
    faults.clock_skew_ms = skew_ms


async def calibrated(simulator: RunningSimulator, watch: SnapshotClaims) -> int:
    """Return the greatest error of the dates of pushes from here on, in milliseconds.

    Another clock than the exchange's is known only as exactly as the fastest push of the last minute was
    fast: no slower than the fastest of these was in Redis.
    """
    exchange, symbol = simulator.exchange, SYMBOLS[-1]
    leg = exchange.legs[0]
    delays_ms: list[float] = []
    for number in range(1, 11):
        external_events.move_position(exchange, symbol, target=Decimal(number), position_side=leg)
        moved_ms = exchange.history.changes(symbol, leg)[-1].wall_time_ms

        def written(amount: Decimal = Decimal(number)) -> Claim | None:
            claims = (claim for claim in watch.claims if claim.symbol == symbol)
            return next((claim for claim in claims if claim.legs.get(leg) == amount), None)

        claim = await until(written, "the push in Redis")
        assert claim is not None
        delays_ms.append(claim.written_ms - moved_ms)
    return math.ceil(min(delays_ms))


def honest(simulator: RunningSimulator, claim: Claim, pushed_ms: int) -> bool:
    """Return whether every leg was that at the claimed millisecond; pushes are dated less exactly."""
    open_ms = pushed_ms if claim.verified_by == "stream" else 0
    at = claim.ts_epoch_ms
    return all(
        amount in simulator.exchange.history.positions_between(claim.symbol, at - open_ms, at, leg)
        for leg, amount in claim.legs.items()
    )


async def agrees_with(simulator: RunningSimulator, watch: SnapshotClaims) -> None:
    """Wait until the latest claims are the positions of now."""

    def wrong() -> list[str]:
        latest = {claim.symbol: claim.legs for claim in watch.claims}
        return [
            name
            for name in SYMBOLS
            if any(
                simulator.exchange.position(name, leg).amount != latest[name].get(leg)
                for leg in simulator.exchange.legs
            )
        ]

    await until(lambda: not wrong(), "snapshots are the positions", within_sec=15)


async def trade_at_random(simulator: RunningSimulator, random: Random) -> None:
    """Trade at random times, often several fills in one millisecond, on a few symbols."""
    exchange = simulator.exchange
    while True:
        await trio.sleep(random.uniform(0.005, 0.12))
        symbol, leg = random.choice(SYMBOLS[:6]), random.choice(exchange.legs)
        for _ in range(random.choice((1, 1, 1, 3))):
            held = exchange.position(symbol, leg).amount / exchange.symbol(symbol).step_size
            steps = random.choice((1, -1)) * random.randint(1, 5)
            if (leg == "LONG" and held + steps < 0) or (leg == "SHORT" and held + steps > 0):
                steps = -steps
            delta = steps * exchange.symbol(symbol).step_size
            external_events.move_position(exchange, symbol, delta=delta, position_side=leg)


BREAKDOWNS = (
    "late", "slow", "failing", "limited", "hanging", "twice", "reordered", "close", "reset", "freeze",
    "expire", "clear",
)  # fmt: skip


async def break_at_random(simulator: RunningSimulator, random: Random) -> None:
    """Slow and failing answers; late, doubled and overtaken events; lost, silent and expired streams.

    One on top of the other.
    """
    exchange, streams, faults = simulator.exchange, simulator.streams, simulator.exchange.faults

    async def freeze() -> None:
        streams.freeze("private")
        await trio.sleep(random.uniform(0.1, 0.8))
        streams.thaw()

    limited = False
    while True:
        await trio.sleep(random.uniform(0.1, 0.6))
        match random.choice(BREAKDOWNS):
            case "late":
                faults.event_delay_ms, faults.event_jitter_ms = random.uniform(0, 100), random.uniform(0, 100)
            case "slow":
                faults.rest_latency_ms, faults.rest_jitter_ms = random.uniform(0, 400), random.uniform(0, 200)
            case "failing":
                faults.rest_fault_rates = {"5xx": 0.2, "truncated": 0.1, "reset": 0.1, "not_json": 0.1}
            case "limited" if not limited:
                # Once: each further one in a row makes the pause three times longer, 5 s, 15 s, 45 s.
                faults.rest_faults_next, limited = ["429"], True
            case "hanging":
                faults.rest_faults_next = ["hang"]
            case "twice":
                faults.duplicate_event_rate = 0.3
            case "reordered" if len(exchange.legs) == 1:
                # Between the legs of one symbol the exchange keeps the order of its account updates.
                faults.reorder_event_rate = 0.2
            case "close":
                await streams.disconnect("private")
            case "reset":
                await streams.reset("private")
            case "freeze":
                await freeze()
            case "expire":
                exchange.expire_listen_key(now=True)
            case "clear":
                restore(simulator)


async def cut(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.refuse_streams = True
    await simulator.streams.reset("private")


async def expire(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.refuse_streams = True
    simulator.exchange.expire_listen_key(now=True)


async def freeze(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.freeze_new_streams = True
    simulator.streams.freeze("private")


@pytest.mark.parametrize("silence", [cut, expire, freeze])
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
