"""What Redis remembers of the exchange's bans, with a Redis that is away at times. Virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
import trio

from actors.ban_keeper import BanKeeper
from brain.moment import Moment
from channels import LatestValue
from clock import TrioClock
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class Process:
    """A process's ban keeper and budget; `redis` outlives it."""

    def __init__(self, redis: MemoryRedis | None = None) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.redis = redis or MemoryRedis(lambda: self.clock.now().wall_ms)
        self.store = MemoryStore(self.redis, keys=Keys("quantum"), consumer="me")
        self.bans: LatestValue[int] = LatestValue("bans")
        self.recalled: LatestValue[bool] = LatestValue("ban_recalled")
        self.budget = WeightBudget(self.clock, 1200, on_ban=self.bans.send)
        self.heartbeat = Heartbeat()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        keeper = BanKeeper(
            self.store,
            self.budget,
            self.bans,
            self.recalled,
            clocks=Clocks(self.clock),
            log=structlog.get_logger(),
        )
        async with background(keeper.run, self.heartbeat):
            yield


async def test_a_ban_outlives_the_process_that_met_it() -> None:
    first = Process()
    async with first.running():
        await first.recalled.get()
        assert first.budget.banned_until is None
        first.budget.ban(60)
        await trio.sleep(10)
    second = Process(first.redis)
    async with second.running():
        await second.recalled.get()
        assert 49 < second.budget.banned_for_sec <= 50


async def test_a_process_does_not_count_as_free_of_bans_before_redis_has_answered() -> None:
    first = Process()
    async with first.running():
        first.budget.ban(60)
        await trio.sleep(1)
    second = Process(first.redis)
    second.store.faults.begin_outage()
    async with second.running():
        await trio.sleep(5)
        assert second.recalled.value is None
        assert "Redis at memory" in second.heartbeat.waits()[0].what
        second.store.faults.end_outage()
        await second.recalled.get()
        assert second.budget.banned_for_sec > 50


async def test_a_ban_that_begins_while_redis_is_away_is_remembered_when_it_is_back() -> None:
    first = Process()
    async with first.running():
        await first.recalled.get()
        with first.store.faults.outage():
            first.budget.ban(30)
            await trio.sleep(1)
            first.budget.ban(60)
            await trio.sleep(5)
        await trio.sleep(1)
        assert await first.store.remembered_ban() == EPOCH_MS + 61_000


async def test_a_ban_that_another_instance_meets_stops_this_one_too() -> None:
    first = Process()
    second = Process(first.redis)
    async with first.running(), second.running():
        await second.recalled.get()
        first.budget.ban(60)
        await trio.sleep(1.1)
        assert 58 < second.budget.banned_for_sec <= 59
        second.budget.ban(10)
        await trio.sleep(1.1)
        assert await first.store.remembered_ban() == EPOCH_MS + 60_000, "the later end stays"
        assert second.budget.banned_for_sec > 57


async def test_a_ban_that_is_over_is_not_remembered() -> None:
    first = Process()
    async with first.running():
        first.budget.ban(5)
        await trio.sleep(20)
        assert await first.store.remembered_ban() is None


async def test_a_wall_clock_that_is_set_back_does_not_prolong_our_own_ban(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = Process()
    async with process.running():
        await process.recalled.get()
        process.budget.ban(60)
        await trio.sleep(2)
        now = process.clock.now
        monkeypatch.setattr(process.clock, "now", lambda: Moment(now().monotonic_sec, now().wall_ms - 30_000))
        await trio.sleep(5)
        assert process.budget.banned_for_sec <= 53
