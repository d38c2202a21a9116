"""An executor on the twin and on each redis-server, in real time."""

from __future__ import annotations

from contextlib import suppress

import pytest
import redis
import trio

from brain.execution.orders import Unknown
from store.errors import GroupLostError
from supervision import Heartbeat
from tests.actors.executor_rig import ExecutorWorld, running_executor
from tests.actors.redis_worlds import BACKENDS, executor_world
from tests.background import background
from tests.integration.waiting import until


def has_group(world: ExecutorWorld) -> bool:
    """Return True if plans that are published now will be read."""
    with suppress(GroupLostError, redis.ResponseError):
        world.redis.xpending(world.keys.plans, "intent_executor")
        return True
    return False


@pytest.mark.parametrize("name", BACKENDS)
async def test_plans_are_executed_refused_and_woken_by_pushes(name: str) -> None:
    async with executor_world(name) as world, running_executor(world):
        await until(lambda: has_group(world), "the group exists")
        world.open("p1")
        world.publish("p2", "ETHUSDT")
        await until(lambda: world.published_results("p1"), "p1 is executed")
        await trio.sleep(0.2)
        world.permit("p2", "ETHUSDT")
        world.grant("p2")
        granted_sec = trio.current_time()
        await until(lambda: len(world.exchange.requests) == 2, "p2 is sent")
        assert trio.current_time() - granted_sec < 0.5
        await until(lambda: world.published_results("p2"), "p2 is executed")
        world.publish("p3")
        await until(lambda: world.published_results("p3"), "p3 is refused")
        assert world.result("p3")["error"] == "permit_timeout (missing: Governor, P3.3)"
        assert [world.result(each)["order_status"] for each in ("p1", "p2")] == ["FILLED", "FILLED"]
        assert world.redis.xpending(world.keys.plans, "intent_executor") == {}
        assert world.redis.get(world.keys.permit("p1")) is None
        assert world.redis.zrange(world.own.open) == []


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_killed_executor_leaves_its_order_to_the_next(name: str) -> None:
    async with executor_world(name) as world:
        await world.take_lease()
        world.exchange.latency_sec = 5.0
        world.trust_stream()
        async with background(world.making.executor().run, Heartbeat()):
            await until(lambda: has_group(world), "the group exists")
            world.open("p1")
            await until(lambda: bool(world.exchange.requests), "the order is under way")
        assert world.record("p1")["state"] == "sending"
        world.exchange.latency_sec = 0.01
        async with running_executor(world):
            await until(world.is_held, "its symbol is held")
            world.observe(world.exchange.state(world.exchange.requests[0]))
            await until(lambda: world.published_results("p1"), "its fill is published")
            await until(lambda: not world.is_held(), "the hold is released")
        assert world.result("p1")["executed"] == "true"
        assert len(world.exchange.requests) == 1
        assert world.redis.xpending(world.keys.plans, "intent_executor") == {}


@pytest.mark.parametrize("name", BACKENDS)
async def test_an_unknown_order_keeps_its_reservation_and_its_hold(name: str) -> None:
    async with executor_world(name) as world, running_executor(world):
        await until(lambda: has_group(world), "the group exists")
        world.exchange.answer = world.exchange.always(Unknown("reset"))
        expires_ms = world.clock.now().wall_ms + 60_000
        reservation = f"BOTH|open|BUY|0.5|{expires_ms}"
        world.redis.hset(world.keys.open_permits("BTCUSDT"), {"v": "1", "p:p1": reservation})
        world.open("p1")
        await until(world.is_held, "its symbol is held")
        stored = world.redis.hgetall(world.keys.open_permits("BTCUSDT"))[b"p:p1"].decode()
        assert int(stored.rpartition("|")[2]) > expires_ms + 60_000
        assert world.published_results() == []
