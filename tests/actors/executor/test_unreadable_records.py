"""Records of orders that this service never wrote: they stop their own plan, and no other."""

from __future__ import annotations

import pytest
import trio

from actors.stream_consumer import MOST_FAILURES
from supervision import Heartbeat
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def redis_waits(heartbeat: Heartbeat) -> list[str]:
    return [wait.what for wait in heartbeat.waits() if "Redis" in wait.what]


async def test_an_order_record_that_cannot_be_read_does_not_stop_other_plans(rig: ExecutorRig) -> None:
    rig.redis.zadd(rig.own.open, {"broken": 1.0})
    rig.redis.hset(rig.own.order("broken"), {"state": "nonsense"})
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.2)
        rig.open("broken", "ETHUSDT")
        await trio.sleep(3)
    assert rig.result("p1")["executed"] == "true"
    assert rig.published_results("broken") == []
    assert len(rig.exchange.requests) == 1


@pytest.mark.parametrize(
    ("junk", "ends"),
    [
        ("wrong type", "refused"),
        ("wrong type", "skipped"),
        ("wrong type", "granted"),
        ("wrong type", "before a new run"),
        ("wrong text", "before a new run"),
    ],
)
async def test_a_record_key_that_holds_anything_else_leaves_its_plan_pending_alone(
    rig: ExecutorRig, junk: str, ends: str
) -> None:
    async with running_executor(rig):
        await trio.sleep(0.1)
    if junk == "wrong type":
        rig.redis.set(rig.own.order("p1"), "junk")
    else:
        rig.redis.hset(rig.own.order("p1"), {"state": "nonsense"})
    if ends == "granted":
        rig.open("p1")
    else:
        rig.publish("p1", decision="SKIP" if ends == "skipped" else "EXECUTE")
    if ends == "before a new run":
        rig.redis.restart()
        await rig.take_lease()
    for number in range(3):
        async with running_executor(rig) as heartbeat:
            for _ in range(20):
                await trio.sleep(0.3)
                assert redis_waits(heartbeat) == []
            rig.position("ETHUSDT", "0")
            rig.open(f"other-{number}", "ETHUSDT")
            await trio.sleep(0.3)
            assert rig.result(f"other-{number}")["executed"] == "true"
    assert (rig.pending(), rig.published_results("p1")) == (1, [])
    assert rig.is_held() == (ends != "skipped")
    rig.redis.delete(rig.own.order("p1"))
    async with running_executor(rig):
        rig.exchange.visible.clear()
        await trio.sleep(3)
    assert rig.published_results("p1") or rig.record("p1")["state"] == "unknown"


async def test_a_plan_that_failed_often_and_has_an_unreadable_record_is_no_dead_letter(
    rig: ExecutorRig,
) -> None:
    rig.redis.hset(rig.own.order("p1"), {"state": "nonsense"})
    rig.open("p1")
    for _ in range(MOST_FAILURES + 2):
        async with running_executor(rig):
            await trio.sleep(3)
    assert rig.redis.xrange(rig.keys.dead_plans) == []
    assert rig.published_results() == []


async def test_another_key_of_a_wrong_type_is_waited_for(rig: ExecutorRig) -> None:
    rig.redis.set(rig.own.audit, "junk")
    async with running_executor(rig) as heartbeat:
        rig.publish("p1")
        shown = set[str]()
        for _ in range(300):
            await trio.sleep(0.01)
            shown.update(redis_waits(heartbeat))
        assert "executor.audit" in str(shown)
        rig.redis.delete(rig.own.audit)
        await trio.sleep(3)
    assert rig.result("p1")["executed"] == "false"
