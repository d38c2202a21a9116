"""The manual lane."""

from __future__ import annotations

import msgspec
import pytest
import trio

from channels import Lease
from store.execution_records import OpenOrders
from store.memory.store import MemoryStore
from store.records import RedisRun
from tests.actors.executor_rig import RULES, ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
async def manual() -> ExecutorRig:
    """A rig whose manual lane is open."""
    rig = ExecutorRig(msgspec.structs.replace(RULES, manual_lane=True))
    rig.redis.set(rig.own.manual_lane, "1", ttl_ms=3_600_000)
    return rig


def publish_manually(rig: ExecutorRig, plan_id: str, symbol: str = "BTCUSDT") -> None:
    rig.permit(plan_id, symbol)
    rig.grant(plan_id)
    rig.publish(plan_id, symbol, stream=rig.own.manual_plans.key)


async def test_the_manual_lane_is_read_only_while_its_switch_is_on_and_expires() -> None:
    rig = ExecutorRig(msgspec.structs.replace(RULES, manual_lane=True))
    manual = rig.own.manual_plans.key
    async with running_executor(rig):
        await trio.sleep(0.1)
        rig.redis.set(rig.own.manual_lane, "1")
        rig.publish("p1", stream=manual)
        rig.permit("p1")
        rig.grant("p1")
        await trio.sleep(6)
        assert rig.published_results() == []
        rig.redis.set(rig.own.manual_lane, "1", ttl_ms=60_000)
        await trio.sleep(3)
        assert rig.result("p1")["error"] == "plan_expired"
        rig.publish("p2", stream=manual)
        rig.publish("p3", "ETHUSDT", stream=manual)
        rig.permit("p2")
        rig.grant("p2")
        await trio.sleep(4)
    assert rig.result("p2")["executed"] == "true"
    assert rig.result("p3")["error"] == "permit_timeout (missing: Governor, P3.3)"
    assert rig.redis.hgetall(rig.own.counts)[b"manual_consumed"] == b"3"


async def test_the_manual_lane_waits_for_the_take_over_of_open_orders(
    manual: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each lease: another process may have begun orders meanwhile."""
    open_orders = manual.store.open_orders
    taken_over = trio.Event()

    async def slowly() -> OpenOrders:
        await taken_over.wait()
        return await open_orders()

    async with running_executor(manual):
        publish_manually(manual, "p1")
        await trio.sleep(0.3)
        assert manual.result("p1")["executed"] == "true"
        monkeypatch.setattr(manual.store, "open_orders", slowly)
        assert manual.lease.value is not None and manual.lease.value.fence is not None
        await manual.store.release_lease(manual.lease.value.fence)
        manual.lease.send(Lease(None, "another"))
        await trio.sleep(3)
        await manual.take_lease()
        publish_manually(manual, "p2")
        await trio.sleep(0.5)
        assert len(manual.exchange.requests) == 1
        taken_over.set()
        await trio.sleep(0.5)
        assert manual.result("p2")["executed"] == "true"


async def test_no_manual_plan_from_before_a_new_run_is_begun_before_the_run_is_compared(
    manual: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_executor(manual):
        await trio.sleep(0.1)
    publish_manually(manual, "p1")
    manual.redis.restart()
    await manual.take_lease()
    other = MemoryStore(manual.redis, keys=manual.keys, consumer="me")
    execution_run = other.execution_run

    async def slowly(known: str | None) -> RedisRun:
        await trio.sleep(1)
        return await execution_run(known)

    monkeypatch.setattr(other, "execution_run", slowly)
    async with running_executor(manual, manual.make(other)):
        await trio.sleep(3)
        assert manual.exchange.requests == []
        assert manual.record("p1")["error"] == "recovering"


async def test_no_plan_is_begun_that_comes_after_the_switch_is_off(manual: ExecutorRig) -> None:
    """The read that waits for it began before."""
    async with running_executor(manual):
        await trio.sleep(0.1)
        manual.redis.delete(manual.own.manual_lane)
        publish_manually(manual, "p1")
        await trio.sleep(6)
        assert manual.exchange.requests == [] and manual.published_results() == []
        manual.redis.set(manual.own.manual_lane, "1", ttl_ms=60_000)
        await trio.sleep(4)
    assert manual.result("p1")["error"] == "plan_expired"
    assert manual.redis.xpending(manual.own.manual_plans.key, "intent_executor_manual") == {}


async def test_a_plan_of_the_manual_lane_that_comes_when_the_switch_has_just_expired_is_not_read() -> None:
    rig = ExecutorRig(msgspec.structs.replace(RULES, manual_lane=True))
    async with running_executor(rig):
        await trio.sleep(0.1)
        rig.redis.set(rig.own.manual_lane, "1", ttl_ms=5_000)
        await trio.sleep(5.001)
        rig.publish("p1", stream=rig.own.manual_plans.key)
        rig.permit("p1")
        rig.grant("p1")
        await trio.sleep(6)
    assert rig.published_results() == []
