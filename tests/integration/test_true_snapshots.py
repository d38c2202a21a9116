"""Every snapshot that is ever written is the position at its time, by the simulator's own history."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from random import Random

import msgspec
import pytest
import trio

from commands.clients.embedded_redis import private_redis
from simulator import RunningSimulator, external_events, running
from tests.integration.daemon_process import DaemonProcess
from tests.integration.site import Site
from tests.integration.snapshot_claims import Claim, SnapshotClaims, watched_claims
from tests.integration.surroundings import POSITION_RISK, SYMBOLS, cut_stream, small_exchange
from tests.integration.waiting import until


@pytest.mark.parametrize("by_stream", [True, False], ids=["stream", "reads alone"])
async def test_slow_answers_among_many_fills_never_take_a_snapshot_back(site: Site, by_stream: bool) -> None:
    """A fill every 100 ms, answers of 800 ms, a read every half second: each answer is older than some fills.

    Without a stream the fills go round all symbols: what changes while it is read cannot be dated.
    """
    often = {"P33_STREAM_PROOF_SEC": "0.2", "P33_POLL_SEC": "0.5", "P33_AUDIT_SEC": "0.5"}
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
            await cut_stream(site.simulator)

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
    assert_honest(site.simulator, watch, pushed_ms)


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
            Site(redis_url, simulator).daemon(hurried) as daemon,
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
        watch = each.watch
        assert len(watch.claims) > 400
        assert {claim.verified_by for claim in watch.claims} == {"rest", "stream"}, each.conditions
        assert_honest(each.simulator, watch, each.pushed_ms, each.conditions)


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


def assert_honest(
    simulator: RunningSimulator, watch: SnapshotClaims, pushed_ms: int, conditions: Conditions | None = None
) -> None:
    """Check that every leg was that at the claimed millisecond, and no claim is older than the one before.

    Pushes are dated less exactly.
    """
    history = simulator.exchange.history

    def honest(claim: Claim) -> bool:
        first_ms = claim.ts_epoch_ms - (pushed_ms if claim.verified_by == "stream" else 0)
        return all(
            amount in history.positions_between(claim.symbol, first_ms, claim.ts_epoch_ms, leg)
            for leg, amount in claim.legs.items()
        )

    assert [claim for claim in watch.claims if not honest(claim)] == [], conditions
    assert list(watch.steps_back()) == [], conditions


async def agrees_with(simulator: RunningSimulator, watch: SnapshotClaims) -> None:
    """Wait until the latest claims are the positions of now."""

    def agrees() -> bool:
        latest = {claim.symbol: claim.legs for claim in watch.claims}
        return all(
            simulator.exchange.position(name, leg).amount == latest[name].get(leg)
            for name in SYMBOLS
            for leg in simulator.exchange.legs
        )

    await until(agrees, "snapshots are the positions", within_sec=15)


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
