"""The history of minutes: sampled from what the process shows, written by the holder of the lease alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import structlog
import trio
from structlog.testing import CapturingLogger

from actors.history_writer import HistoryWriter
from brain.history import MINUTE_MS, Minute
from brain.identifiers import FencingToken
from brain.positions.exposure import Exposure
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import BookEntry, Channels, Lease
from clock import TrioClock
from clocks.clocks import Clocks
from exchange.protocol import Priority
from exchange.weight_budget import WeightBudget
from monitoring.exposure import AccountExposure
from monitoring.gate_distribution import GateDistribution
from monitoring.history import MinuteHistory
from monitoring.recent_decisions import RecentDecisions
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.background import background
from tests.monitoring.status_rig import rules_of
from tests.monitoring.test_recent_decisions import decision
from tests.virtual_time import virtual_time

pytestmark = virtual_time

KEYS = Keys("quantum")
#: 2025-10-09, 08:53:00 UTC.
FIRST = 29_333_333
EPOCH_MS = FIRST * MINUTE_MS


class Process:
    """A process's history and its writer; `redis` outlives it."""

    def __init__(self, redis: MemoryRedis | None = None, *, fence: FencingToken | None = None) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.redis = redis or MemoryRedis(lambda: self.clock.now().wall_ms)
        self.hangs = False
        self.store = MemoryStore(self.redis, keys=KEYS, consumer="me", crossing=self._cross)
        self.clocks = Clocks(self.clock)
        self.channels = Channels(1)
        self.gates, self.recent = GateDistribution(self.clock), RecentDecisions()
        self.budget = WeightBudget(self.clock, 1200)
        account = AccountExposure(
            self.channels.book, self.channels.symbol_rules, self.clock, stale_threshold_sec=60.0
        )
        self.history = MinuteHistory(
            account, self.channels.lease, self.gates, self.recent, budget=self.budget, clocks=self.clocks
        )
        self.log = CapturingLogger()
        self.lend(fence)

    async def _cross(self) -> None:
        if self.hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()

    def lend(self, fence: FencingToken | None) -> None:
        """The lease, as `lease_holder` would say."""
        self.channels.lease.send(Lease(fence, "me" if fence else "another"))

    async def take_lease(self) -> None:
        self.lend((await self.store.hold_lease("me", None, 10**9)).fence)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.clocks.ask_redis(self.store)
        log = structlog.wrap_logger(self.log, processors=[])
        writer = HistoryWriter(self.store, self.history, self.channels.lease, log=log)
        async with background(writer.run, Heartbeat()):
            yield

    def decided(self, *latencies_ms: int) -> None:
        """Plans of the standard case, which is allowed, answered now."""
        for latency_ms in latencies_ms:
            made = decision("a-plan")
            self.recent.decided([msgspec.structs.replace(made, published_ms=made.decided_ms - latency_ms)])
            self.gates.decided([made.answer.decision])

    def holds(self, symbol: str, amount: str, *, mark: str | None = "100", age_sec: float = 0.0) -> None:
        """Put a snapshot into the book, bought at 90."""
        leg = LegPosition(Leg.BOTH, Decimal(amount), Decimal(90), EPOCH_MS)
        price = None if mark is None else Decimal(mark)
        verified_at = self.clock.now().earlier_by(age_sec)
        known = Snapshot(symbol, (leg,), None, price, EPOCH_MS, verified_at, VerifiedBy.REST)
        self.channels.book.publish(0, BookEntry(known, verified_at))

    async def stored(self) -> list[Minute]:
        return list(await self.store.minutes(FIRST - 10, FIRST + 1400))


async def minute_of(number: int) -> None:
    """Wait until that minute has run for a second and a half."""
    await trio.sleep_until((number - FIRST) * 60 + 1.5)


async def test_a_minute_holds_what_was_decided_in_it_and_nothing_of_its_neighbours() -> None:
    process = Process()
    await process.take_lease()
    async with process.running():
        await trio.sleep(0.5)
        process.decided(1000)
        await minute_of(FIRST + 1)
        process.decided(*range(1, 101))
        await minute_of(FIRST + 2)
        process.decided(7)
        await minute_of(FIRST + 3)
        first, second, third = await process.stored()
    assert [each.number - FIRST for each in (first, second, third)] == [0, 1, 2]
    assert [each.allowed for each in (first, second, third)] == [
        {"sanity_checks_passed": count} for count in (1, 100, 1)
    ]
    assert first.denied == {}
    assert [each.latency_ms for each in (first, second, third)] == [
        (1000, 1000, 1000), (51, 100, 100), (7, 7, 7)
    ]  # fmt: skip
    assert all(58 <= each.seen_sec <= 60 for each in (second, third))


async def test_a_minute_without_decisions_or_snapshots_is_written_as_that() -> None:
    process = Process()
    await process.take_lease()
    async with process.running():
        await minute_of(FIRST + 2)
        bare = (await process.stored())[1]
    assert (bare.allowed, bare.denied, bare.latency_ms) == ({}, {}, None)
    assert (bare.oldest_age_sec, bare.exposure, bare.weight) == (None, None, 0)


async def test_it_keeps_the_oldest_age_the_most_weight_and_the_last_exposure() -> None:
    process = Process()
    await process.take_lease()
    process.channels.symbol_rules.send({"BTCUSDT": rules_of("BTCUSDT")})
    async with process.running():
        await trio.sleep(2)
        process.holds("BTCUSDT", "3", age_sec=40.0)
        process.holds("ETHUSDT", "-1")
        process.holds("SOLUSDT", "5", mark=None)
        process.budget.reserve(40, Priority.PERIODIC)
        await trio.sleep(30)
        process.holds("BTCUSDT", "2")
        await minute_of(FIRST + 1)
        (minute,) = await process.stored()
    assert minute.exposure == Exposure(Decimal(300), Decimal(100), Decimal(10), 1)
    assert minute.oldest_age_sec is not None
    assert 45 < minute.oldest_age_sec < 75
    assert minute.weight == 40


async def test_a_minute_in_which_the_book_is_never_complete_has_no_exposure() -> None:
    process = Process()
    await process.take_lease()
    async with process.running():
        # It is not known yet which symbols trade; then, one of them has no snapshot.
        process.holds("BTCUSDT", "3")
        await minute_of(FIRST + 1)
        process.channels.symbol_rules.send({each: rules_of(each) for each in ("BTCUSDT", "ETHUSDT")})
        process.holds("BTCUSDT", "3")
        await minute_of(FIRST + 2)
        process.holds("ETHUSDT", "-1")
        process.holds("BTCUSDT", "2")
        await trio.sleep(30)
        # Neither a stale snapshot is summed, nor one of before trust was lost.
        process.holds("ETHUSDT", "-9", age_sec=70.0)
        await minute_of(FIRST + 4)
        process.holds("BTCUSDT", "2")
        process.holds("ETHUSDT", "-1")
        process.channels.book.lose_trust(process.clock.now())
        await minute_of(FIRST + 5)
        minutes = await process.stored()
    whole = Exposure(Decimal(300), Decimal(100), Decimal(10), 0)
    assert [each.exposure for each in minutes] == [None, None, whole, None, None]
    assert all(each.oldest_age_sec is not None for each in minutes)


async def test_a_standby_writes_nothing_and_a_taken_over_minute_is_the_successors() -> None:
    process = Process()
    async with process.running():
        await minute_of(FIRST + 3)
        assert await process.stored() == []
        await process.take_lease()
        process.decided(5)
        await minute_of(FIRST + 4)
        (minute,) = await process.stored()
    assert (minute.number, minute.allowed) == (FIRST + 3, {"sanity_checks_passed": 1})


async def test_a_restart_loses_at_most_the_running_minute() -> None:
    first = Process()
    await first.take_lease()
    async with first.running():
        await minute_of(FIRST + 2)
        first.decided(5)
        await trio.sleep(30)
    second = Process(first.redis)
    await second.take_lease()
    async with second.running():
        await minute_of(FIRST + 4)
    assert [each.number - FIRST for each in await second.stored()] == [0, 1, 2, 3]


async def test_a_restarted_actor_goes_on_with_the_running_minute() -> None:
    process = Process()
    await process.take_lease()
    async with process.running():
        await trio.sleep(20)
        process.decided(5)
        await trio.sleep(1.5)
    async with process.running():
        process.decided(7)
        await minute_of(FIRST + 1)
        (minute,) = await process.stored()
    assert minute.allowed == {"sanity_checks_passed": 2}
    assert minute.latency_ms == (7, 7, 7)


async def test_minutes_wait_while_redis_is_away_and_the_oldest_of_more_than_60_are_lost() -> None:
    process = Process()
    await process.take_lease()
    async with process.running():
        with process.redis.faults.outage():
            await minute_of(FIRST + 70)
        await minute_of(FIRST + 71)
        numbers = [each.number - FIRST for each in await process.stored()]
    assert numbers == list(range(10, 71))
    assert process.log.calls == []


async def test_a_key_of_another_type_is_logged_once_a_minute_and_written_again_once_it_is_gone() -> None:
    process = Process()
    await process.take_lease()
    process.redis.set("quantum:p33:history", "mine")
    async with process.running():
        await minute_of(FIRST + 3)
        assert 2 <= len(process.log.calls) <= 3
        assert "not a hash" in process.log.calls[0].kwargs["why"]
        process.redis.delete("quantum:p33:history")
        await trio.sleep(2)
        assert [each.number - FIRST for each in await process.stored()] == [0, 1, 2]


async def test_a_write_that_hangs_delays_no_sample() -> None:
    process = Process()
    await process.take_lease()
    async with process.running():
        process.hangs = True
        await minute_of(FIRST + 2)
        process.decided(5)
        process.hangs = False
        await minute_of(FIRST + 3)
        minutes = await process.stored()
    assert [each.number - FIRST for each in minutes] == [0, 1, 2]
    assert minutes[1].seen_sec >= 19
    assert minutes[2].latency_ms == (5, 5, 5)
