"""Plans from before a new run of Redis, which may have lost the begin of their orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
import trio

from brain.execution.orders import OrderRequest, OrderState, Unknown
from brain.identifiers import Symbol
from brain.positions.position import Leg
from exchange.errors import ExchangeUnavailable
from tests.actors.executor_rig import RULES, ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def order_of(rig: ExecutorRig, plan_id: str, side: str = "BUY") -> OrderState:
    """The order that an executor sent whose begin Redis has lost."""
    request = OrderRequest(
        symbol=Symbol("BTCUSDT"),
        side=side,
        quantity=Decimal("0.5"),
        leg=Leg.BOTH,
        reduce_only=False,
        client_order_id=rig.client_id(plan_id),
        timestamp_ms=rig.clock.now().wall_ms,
        recv_window_ms=3_000,
    )
    return rig.exchange.state(request)


async def published_before_a_new_run(rig: ExecutorRig, after_sec: float = 0.1) -> None:
    async with running_executor(rig):
        await trio.sleep(0.1)
    rig.open("p1")
    rig.redis.restart()
    await trio.sleep(after_sec)
    await rig.take_lease()


@pytest.mark.parametrize("after_sec", [0.1, 60.0])
async def test_a_plan_from_before_a_new_run_is_refused_once_no_order_of_it_can_exist(
    rig: ExecutorRig, nursery: trio.Nursery, after_sec: float
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(1)
    await published_before_a_new_run(rig, after_sec)
    settled_sec = trio.current_time() + 5 + 1.2 + 3 + 30 - after_sec
    async with running_executor(rig):
        while not rig.published_results():
            await trio.sleep(1)
            assert rig.published_results() or rig.is_held()
        assert trio.current_time() > settled_sec
        result = rig.result("p1")
        assert (result["executed"], result["error"]) == ("false", "recovering")
        await trio.sleep(1)
        assert (rig.is_held(), rig.pending()) == (False, 0)
        rig.open("p2")
        await trio.sleep(0.3)
    assert rig.result("p2")["executed"] == "true"
    assert len(rig.exchange.requests) == 1


@pytest.mark.parametrize("publish", ["an open", "a close"])
async def test_an_order_whose_begin_a_new_run_has_lost_is_followed(rig: ExecutorRig, publish: str) -> None:
    async with running_executor(rig):
        await trio.sleep(0.1)
    if publish == "an open":
        order = order_of(rig, "p1")
        rig.publish("p1")
    else:
        order = order_of(rig, "p1", "SELL")
        rig.publish_close("p1")
    rig.exchange.visible[order.client_order_id] = order
    rig.redis.restart()
    await rig.take_lease()
    async with running_executor(rig):
        await trio.sleep(12)
    result = rig.result("p1")
    assert (result["executed"], result["filled_qty"], result["side"]) == ("true", "0.5", order.side)
    assert (rig.is_held(), rig.pending(), rig.exchange.requests) == (False, 0, [])
    assert rig.events() == []


async def test_while_the_exchange_does_not_answer_nothing_is_said_of_such_a_plan(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(1)
    rig.exchange.failure = ExchangeUnavailable("away")
    await published_before_a_new_run(rig)
    for _ in range(3):
        async with running_executor(rig):
            await trio.sleep(40)
            assert rig.published_results() == [] and rig.is_held()
    assert rig.record("p1")["state"] == "unknown"


async def test_a_dry_run_and_an_unknown_symbol_have_no_order_to_search_for() -> None:
    rig = ExecutorRig(msgspec.structs.replace(RULES, dry_run=True))
    await published_before_a_new_run(rig)
    async with running_executor(rig):
        await trio.sleep(0.3)
    assert [fields[b"error"] for _, fields in rig.redis.xrange(rig.own.dry_run)] == [b"recovering"]
    rig = ExecutorRig()
    async with running_executor(rig):
        await trio.sleep(0.1)
    rig.publish("p2", "NOSUCHUSDT")
    rig.redis.restart()
    await rig.take_lease()
    async with running_executor(rig):
        await trio.sleep(0.3)
    assert rig.result("p2")["error"] == "recovering"
    assert rig.exchange.queries == []


async def test_a_plan_that_waits_while_a_new_run_is_found_is_not_begun(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    """Redis was emptied, which breaks no connection."""
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(3)
    async with running_executor(rig):
        await trio.sleep(0.9)
        rig.publish("p1")
        rig.redis.delete(rig.keys.redis_run)
        await trio.sleep(0.5)
        rig.permit("p1")
        rig.grant("p1")
        await trio.sleep(60)
    assert rig.exchange.requests == []
    assert rig.result("p1")["error"] == "recovering"


@pytest.mark.parametrize("emptied", [False, True])
async def test_the_record_of_an_order_in_hand_that_a_new_run_has_lost_is_written_again(
    rig: ExecutorRig, emptied: bool
) -> None:
    """Operators find undecided orders by their records."""
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(12)
        before = rig.record("p1")
        for key in (rig.own.order("p1"), rig.own.plan_of(rig.client_id("p1")), rig.own.open):
            rig.redis.delete(key)
        if emptied:
            rig.redis.delete(rig.keys.redis_run)
        else:
            rig.redis.restart()
            await rig.take_lease()
        await trio.sleep(3)
        assert before["state"] == "unknown"
        assert rig.record("p1") == before | {"version": "1"}
        assert rig.redis.zrange(rig.own.open) == [b"p1"]
        assert rig.published_results() == []
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
        assert rig.result("p1")["executed"] == "true"
    assert (len(rig.exchange.requests), rig.pending(), rig.redis.zrange(rig.own.open)) == (1, 0, [])
