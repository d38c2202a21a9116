from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio
from structlog.testing import CapturingLogger

from actors.durability_watch import DurabilityWatch
from brain.durability import Durability
from channels import LatestValue
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class Watched:
    def __init__(self) -> None:
        self.redis = MemoryRedis(lambda: 1_760_000_000_000)
        self.store = MemoryStore(self.redis, keys=Keys("quantum"), consumer="me")
        self.durability = LatestValue[Durability]("durability")
        self.log = CapturingLogger()

    @property
    def warnings(self) -> list[str]:
        return [str(call.kwargs["event"]) for call in self.log.calls]


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    rig = Watched()
    watch = DurabilityWatch(rig.store, rig.durability, log=structlog.wrap_logger(rig.log, processors=[]))
    async with background(watch.run, Heartbeat()):
        await trio.sleep(0.1)
        yield rig


async def test_a_redis_that_keeps_everything_is_no_warning() -> None:
    async with watched() as rig:
        await trio.sleep(60)
        assert rig.durability.value == Durability(True, "noeviction", 0)
        assert rig.warnings == []


async def test_an_evicting_policy_is_a_warning_within_5_s_and_only_one() -> None:
    async with watched() as rig:
        rig.redis.maxmemory_policy = "allkeys-lru"
        await trio.sleep(5)
        assert rig.durability.value is not None and rig.durability.value.may_evict
        await trio.sleep(60)
        (warning,) = rig.warnings
        assert "may evict" in warning
        rig.redis.maxmemory_policy = "noeviction"
        await trio.sleep(5)
        rig.redis.maxmemory_policy = "volatile-ttl"
        await trio.sleep(5)
        assert len(rig.warnings) == 2


async def test_each_growth_of_the_evicted_keys_is_a_warning_within_5_s() -> None:
    async with watched() as rig:
        for count in (3, 8):
            rig.redis.evicted_keys = count
            await trio.sleep(5)
            assert rig.durability.value is not None and rig.durability.value.evicted_keys == count
        assert [call.kwargs["keys"] for call in rig.log.calls] == [3, 5]
        rig.redis.restart()
        await trio.sleep(5)
        assert len(rig.warnings) == 2


async def test_no_append_only_file_is_a_warning() -> None:
    async with watched() as rig:
        rig.redis.append_only = False
        await trio.sleep(60)
        (warning,) = rig.warnings
        assert "append-only" in warning


async def test_nothing_is_known_while_redis_does_not_answer() -> None:
    async with watched() as rig:
        with rig.redis.faults.outage():
            await trio.sleep(5)
            assert rig.durability.value is None
        await trio.sleep(5)
        assert rig.durability.value is not None
        assert rig.warnings == []
