"""Stops of an executor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
import trio
import trio.testing

from brain.identifiers import ClientOrderId, PlanId
from channels import Lease
from supervision import Heartbeat
from supervision.child import Child
from tests.actors.executor.test_orphans import foreign
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time
from wiring.executor import executor_child

pytestmark = virtual_time


@asynccontextmanager
async def child_of(rig: ExecutorRig) -> AsyncIterator[Child]:
    """The executor runs as a child of the service."""

    async def at_once(_heartbeat: Heartbeat) -> None:
        await trio.lowlevel.checkpoint()

    child = Child(executor_child(rig.making, after=at_once), "executor", lambda _event: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.live, trio.Event())
        await trio.testing.wait_all_tasks_blocked()
        yield child
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_stop_while_redis_is_away_waits_for_the_answers_under_way(
    rig: ExecutorRig, comes_back: bool
) -> None:
    rig.exchange.latency_sec = 1.0
    await rig.take_lease()
    async with child_of(rig) as child:
        rig.open("p1")
        await trio.sleep(0.1)
        rig.store.faults.begin_outage()
        await trio.sleep(0.2)
        began_sec = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.stop)
            await trio.sleep(1)
            assert rig.client_id("p1") in rig.exchange.visible
            if comes_back:
                rig.store.faults.end_outage()
        assert trio.current_time() - began_sec <= 2.1
    assert rig.record("p1")["state"] == ("final" if comes_back else "sending")


async def test_a_stop_of_a_standby_with_an_order_out_waits_for_its_answer(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 1.0
    await rig.take_lease()
    async with child_of(rig) as child:
        rig.open("p1")
        await trio.sleep(0.1)
        rig.lease.send(Lease(None, "another"))
        rig.redis.delete(rig.keys.lease)
        await trio.sleep(0.3)
        await child.stop()
    assert rig.client_id("p1") in rig.exchange.visible


async def test_a_standby_without_orders_stops_at_once(rig: ExecutorRig) -> None:
    rig.lease.send(Lease(None, "another"))
    async with child_of(rig) as child:
        began_sec = trio.current_time()
        await child.stop()
    assert trio.current_time() - began_sec < 0.1


async def test_a_stop_takes_no_plan_and_waits_for_the_answers_under_way(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 1.0
    await rig.take_lease()
    heartbeat = Heartbeat()
    with trio.fail_after(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.making.executor().run, heartbeat)
            await trio.testing.wait_all_tasks_blocked()
            rig.open("p1")
            rig.open("p2")
            rig.publish("p3", "ETHUSDT")
            await trio.sleep(0.1)
            heartbeat.stopping.set()
    assert len(rig.exchange.requests) == 1
    assert len(rig.published_results()) == 1
    assert rig.pending() == 2


async def test_a_stop_leaves_a_request_without_an_answer_to_the_next_executor(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 10.0
    await rig.take_lease()
    heartbeat = Heartbeat()
    began_sec = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.making.executor().run, heartbeat)
        await trio.testing.wait_all_tasks_blocked()
        rig.open("p1")
        await trio.sleep(0.1)
        heartbeat.stopping.set()
    assert 2.0 <= trio.current_time() - began_sec <= 2.3
    assert rig.record("p1")["state"] == "sending"
    rig.exchange.latency_sec = 0.05
    async with running_executor(rig):
        assert rig.is_held()
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(0.1)
    assert rig.result("p1")["executed"] == "true"
    assert len(rig.exchange.requests) == 1


async def test_an_executor_that_checks_one_order_again_and_again_over_a_slow_redis_does_not_stall(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of = rig.store.plan_of

    async def slowly(client_id: ClientOrderId) -> PlanId | None:
        await trio.sleep(0.9)
        return await plan_of(client_id)

    monkeypatch.setattr(rig.store, "plan_of", slowly)
    async with running_executor(rig) as heartbeat:
        order, oldest_sec = foreign(), 0.0
        for filled in range(1, 61):
            rig.observe(msgspec.structs.replace(order, cumulative=Decimal(filled)))
            await trio.sleep(0.4)
            if (beat_sec := heartbeat.oldest_beat_at_work_sec()) is not None:
                oldest_sec = max(oldest_sec, trio.current_time() - beat_sec)
        assert 0 < oldest_sec < 2
