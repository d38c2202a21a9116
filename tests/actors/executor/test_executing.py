"""Plans that get an order: what is sent, what is written, what is published."""

from __future__ import annotations

import json

import pytest
import trio

from brain.execution.orders import Accepted, OrderOutcome, OrderRequest
from brain.numbers import plain
from brain.positions.position import Leg
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_permitted_entry_is_sent_once_and_its_fill_is_published(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1", source="intent_bridge")
        await trio.sleep(0.2)
    (request,) = rig.exchange.requests
    assert (request.symbol, request.side, plain(request.quantity)) == ("BTCUSDT", "BUY", "0.5")
    assert (request.leg, request.reduce_only) == (Leg.BOTH, False)
    assert request.client_order_id == rig.client_id("p1")
    result = rig.result("p1")
    expected = {
        "event_type": "apply.result", "plan_id": "p1", "symbol": "BTCUSDT", "executed": "true",
        "source": "intent_executor", "side": "BUY", "qty": "0.5", "filled_qty": "0.5",
        "order_id": "1001", "order_status": "FILLED", "reduceOnly": "false", "action": "ENTRY_PROPOSED",
        "decision": "EXECUTE", "would_execute": "true", "error": "", "avg_price": "",
        "client_order_id": rig.client_id("p1"),
    }  # fmt: skip
    assert {name: result[name] for name in expected} == expected
    assert result["timestamp"] == result["ts"] and result["timestamp"].isdigit()
    details = json.loads(result["details"])
    assert (details["executed"], details["filled_qty"], details["kind"]) == (True, 0.5, "open")
    assert (details["latency_ms"], details["instance"]) == (50, "me")
    assert rig.pending() == 0
    assert rig.record("p1")["state"] == "final"
    assert rig.redis.get(rig.keys.permit("p1")) is None
    assert rig.redis.get("quantum:permit:p1") is None
    assert rig.redis.get(rig.keys.permit_consumer("p1")) == b"me"
    assert rig.redis.get(rig.keys.cooldown("BTCUSDT")) is not None
    assert not rig.is_held()


async def test_the_cooldown_begins_by_redis_clock_wherever_the_exchanges_is(rig: ExecutorRig) -> None:
    """P3.3 compares it with that clock."""
    rig.exchange.ahead_ms = 12_000
    async with running_executor(rig):
        rig.open("p1", source="intent_bridge")
        await trio.sleep(0.2)
    executed_ms = int(rig.redis.get(rig.keys.cooldown("BTCUSDT")) or 0)
    assert 0 <= rig.redis.now_ms() - executed_ms <= 200


async def test_a_close_is_reduce_only_and_no_larger_than_its_permit(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "3")
    async with running_executor(rig):
        rig.permit_close("p1", 0.028)
        rig.grant("p1")
        rig.publish_close("p1")
        await trio.sleep(0.2)
    (request,) = rig.exchange.requests
    assert (request.side, plain(request.quantity), request.reduce_only) == ("SELL", "0.028", True)
    assert rig.result("p1")["filled_qty"] == "0.028"


async def test_a_close_is_no_larger_than_the_position_by_now(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "1")
    async with running_executor(rig):
        rig.permit_close("p1", 2)
        rig.grant("p1")
        rig.publish_close("p1")
        await trio.sleep(0.2)
    assert [plain(request.quantity) for request in rig.exchange.requests] == ["1"]


async def test_in_hedge_mode_the_leg_says_that_an_order_closes(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.permit("p1", leg="SHORT", order_side="SELL")
        rig.permit_close("p2", 0.5, leg="LONG")
        for plan_id in ("p1", "p2"):
            rig.grant(plan_id)
        rig.publish("p1", side="SELL", positionSide="SHORT")
        rig.redis.delete(rig.keys.permit("none"))
        await trio.sleep(0.2)
    assert [(each.leg, each.reduce_only) for each in rig.exchange.requests] == [(Leg.SHORT, False)]


async def test_permits_that_come_later_wake_the_plan_that_waits(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.publish("p1")
        await trio.sleep(0.5)
        rig.permit("p1")
        await trio.sleep(0.3)
        assert rig.exchange.requests == []
        rig.grant("p1")
        await trio.sleep(0.001)
        assert len(rig.exchange.requests) == 1
        await trio.sleep(0.2)
    assert json.loads(rig.result("p1")["details"])["waited_ms"] == 800


async def test_two_orders_of_one_symbol_and_leg_follow_one_another_and_others_do_not_wait(
    rig: ExecutorRig,
) -> None:
    rig.exchange.latency_sec = 0.4
    async with running_executor(rig):
        rig.open("p1")
        rig.open("p2")
        rig.open("p3", "ETHUSDT")
        await trio.sleep(0.1)
        assert {each.symbol for each in rig.exchange.requests} == {"BTCUSDT", "ETHUSDT"}
        assert len(rig.exchange.requests) == 2
        await trio.sleep(1.5)
        assert len(rig.exchange.requests) == 3
    assert {each["plan_id"] for each in rig.published_results()} == {"p1", "p2", "p3"}


async def test_each_growth_of_an_order_and_its_end_are_published_once(rig: ExecutorRig) -> None:
    def partly(request: OrderRequest) -> OrderOutcome:
        order = rig.exchange.visible[request.client_order_id] = rig.exchange.state(
            request, "PARTIALLY_FILLED", "0.1"
        )
        return Accepted(order)

    rig.exchange.answer = partly
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.06)
        (request,) = rig.exchange.requests
        for status, filled in (("PARTIALLY_FILLED", "0.1"), ("PARTIALLY_FILLED", "0.3")):
            rig.observe(rig.exchange.state(request, status, filled))
            rig.observe(rig.exchange.state(request, status, filled))
            await trio.sleep(0.01)
        rig.observe(rig.exchange.state(request, "PARTIALLY_FILLED", "0.2"))
        rig.observe(rig.exchange.state(request, "EXPIRED", "0.3", "101.5"))
        rig.exchange.visible[request.client_order_id] = rig.exchange.state(request, "EXPIRED", "0.3")
        await trio.sleep(30)
    published = [(each["filled_qty"], each["order_status"]) for each in rig.published_results("p1")]
    assert published == [("0.1", "PARTIALLY_FILLED"), ("0.3", "PARTIALLY_FILLED"), ("0.3", "EXPIRED")]
    assert rig.published_results("p1")[-1]["avg_price"] == "101.5"
    assert rig.record("p1")["published_cumulative"] == "0.3"
    assert rig.pending() == 0
    assert rig.redis.zrange(rig.own.open) == []


async def test_an_average_price_that_the_stream_shows_in_time_is_published(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.06)
        rig.observe(rig.exchange.state(rig.exchange.requests[0], price="99.5"))
        await trio.sleep(0.1)
    assert rig.result("p1")["avg_price"] == "99.5"


async def test_a_stop_loss_update_consumes_its_permits_and_sends_nothing(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.permit("p1", kind="none", reason="no_quantity_change", order_side=None, plan_qty=None)
        rig.grant("p1")
        rig.publish("p1", action="UPDATE_SL", qty="", side="")
        await trio.sleep(0.2)
    assert rig.exchange.requests == []
    result = rig.result("p1")
    assert (result["executed"], result["error"]) == ("false", "nothing_to_execute")
    assert rig.redis.get(rig.keys.permit("p1")) is None


@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_a_stop_loss_update_with_a_side_is_taken_over_as_one_without(
    rig: ExecutorRig, side: str
) -> None:
    rig.store.faults.fail_next("after", method="begin_order")
    async with running_executor(rig):
        rig.permit("p1", kind="none", reason="no_quantity_change", order_side=side, plan_qty=None)
        rig.grant("p1")
        rig.publish("p1", action="UPDATE_SL", qty="", side=side)
        await trio.sleep(3)
    assert rig.exchange.requests == []
    assert rig.result("p1")["error"] == "nothing_to_execute"


async def test_a_plan_that_asks_for_no_order_is_answered_once_with_its_own_reason(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.publish("p1", decision="SKIP", reason_codes='["kill_score", "other"]')
        rig.publish("p2", decision="BLOCKED", error="limit")
        rig.publish("p3", decision="HOLD")
        rig.publish("p3", decision="HOLD")
        await trio.sleep(5)
    found = [
        (each["plan_id"], each["decision"], each["executed"], each["would_execute"], each["error"])
        for each in rig.published_results()
    ]
    assert sorted(found) == [
        ("p1", "SKIP", "false", "false", "kill_score"),
        ("p2", "BLOCKED", "false", "false", "limit"),
        ("p3", "HOLD", "false", "false", "hold"),
    ]
    assert rig.pending() == 0


async def test_a_plan_published_twice_gets_one_order_and_one_result(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1")
        rig.publish("p1")
        await trio.sleep(0.3)
        rig.permit("p1")
        rig.grant("p1")
        rig.publish("p1")
        await trio.sleep(5)
    assert len(rig.exchange.requests) == 1
    assert len(rig.published_results()) == 1
    assert rig.pending() == 0
