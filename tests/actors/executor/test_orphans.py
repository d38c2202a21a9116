"""Orders that turn up late, and orders of ours without a record."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
import trio

from brain.execution.orders import OrderState, OrderStatus, client_order_id
from brain.identifiers import ClientOrderId, FencingToken, OrderId, PlanId, Symbol
from brain.positions.position import Leg
from exchange.errors import ExchangeUnavailable
from tests.actors.executor.test_resolution import UNKNOWN
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_order_that_turns_up_after_its_end_is_published_with_an_event(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(60)
        assert rig.result("p1")["error"] == "order_not_found"
        (request,) = rig.exchange.requests
        for status, filled in (
            ("NEW", "0"),
            ("PARTIALLY_FILLED", "0.2"),
            ("FILLED", "0.5"),
            ("FILLED", "0.5"),
        ):
            rig.observe(rig.exchange.state(request, status, filled))
            await trio.sleep(0.1)
    published = [(each["executed"], each["filled_qty"]) for each in rig.published_results("p1")]
    assert published == [("false", "0"), ("true", "0.2"), ("true", "0.5")]
    assert [each["event"] for each in rig.events()] == ["EXECUTION_LATE"]


def foreign(symbol: str = "BTCUSDT", client_id: str = "p33-0123456789abcdef0123456789abcdef") -> OrderState:
    return OrderState(
        symbol=Symbol(symbol),
        leg=Leg.BOTH,
        side="BUY",
        order_id=OrderId("77"),
        client_order_id=ClientOrderId(client_id),
        status=OrderStatus.FILLED,
        cumulative=Decimal("0.5"),
        average_price=None,
        update_ms=1_760_000_000_000,
    )


async def test_an_order_without_a_record_is_an_orphan_that_holds_its_symbol(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        order = foreign()
        rig.observe(order)
        rig.observe(order)
        await trio.sleep(0.1)
        rig.observe(order)
        await trio.sleep(400)
        assert [each["event"] for each in rig.events()] == ["ORPHAN_ORDER"]
        assert rig.redis.get(rig.own.hold_reason("BTCUSDT")) == b"orphan_order"
        assert rig.redis.get(rig.own.hold_sig("BTCUSDT")) == f"exec:{order.client_order_id}".encode()
        assert rig.record(order.client_order_id)["state"] == "orphan"
        rig.redis.delete(rig.keys.hold("BTCUSDT"))
        await trio.sleep(400)
        assert not rig.is_held()
    assert rig.published_results() == []


@pytest.mark.parametrize(
    ("memory", "status", "is_held"),
    [
        ("0.5|1760000000000", OrderStatus.FILLED, False),
        ("0.4|1760000000000", OrderStatus.FILLED, True),
        ("0.5|1760000000000", OrderStatus.PARTIALLY_FILLED, True),
        ("unreadable", OrderStatus.FILLED, True),
    ],
)
async def test_an_orphan_that_is_booked_already_holds_nothing(
    rig: ExecutorRig, memory: str, status: OrderStatus, is_held: bool
) -> None:
    """As by a repair of the reconcile engine. What may grow, or is not certain, is held."""
    order = msgspec.structs.replace(foreign(), status=status)
    rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {order.order_id: memory})
    async with running_executor(rig):
        rig.observe(order)
        await trio.sleep(1)
        assert rig.record(order.client_order_id)["state"] == "orphan"
        assert rig.is_held() is is_held
        assert [each["event"] for each in rig.events()] == ["ORPHAN_ORDER"] * is_held


async def test_a_plan_whose_order_is_an_orphan_is_not_executed_again(
    rig: ExecutorRig,
) -> None:
    """Redis has lost all that it knew of the plan; its order is found at the exchange."""
    async with running_executor(rig):
        rig.observe(foreign(client_id=client_order_id(rig.keys.prefix, PlanId("p1"))))
        await trio.sleep(0.1)
        rig.redis.delete(rig.keys.hold("BTCUSDT"))
        rig.open("p1")
        await trio.sleep(5)
        assert (rig.exchange.requests, rig.published_results(), rig.pending()) == ([], [], 0)


async def test_an_orphan_is_followed_in_its_record(rig: ExecutorRig) -> None:
    first = msgspec.structs.replace(foreign(), status=OrderStatus.PARTIALLY_FILLED, cumulative=Decimal("0.2"))
    async with running_executor(rig):
        for order in (first, foreign(), first):
            rig.observe(order)
            await trio.sleep(1)
        record = rig.record(first.client_order_id)
        assert (record["state"], record["status"], record["cumulative"]) == ("orphan", "FILLED", "0.5")
        assert rig.is_held() and rig.published_results() == []
    assert [each["event"] for each in rig.events()] == ["ORPHAN_ORDER"]


async def test_an_orphan_is_no_undecided_order_when_its_record_has_ended(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.observe(foreign())
        await trio.sleep(1)
    assert rig.open_executions is not None
    rig.redis.delete(rig.own.order(foreign().client_order_id))
    async with running_executor(rig):
        await trio.sleep(2)
        assert rig.open_executions.value == ()


async def test_an_event_of_an_order_that_is_long_final_is_no_orphan(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(1)
    async with running_executor(rig):
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
    assert rig.events() == []
    assert len(rig.published_results()) == 1


async def test_orphans_are_searched_for_after_a_start(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "0.5")
    order = foreign()
    rig.exchange.visible[order.client_order_id] = order
    other = foreign(client_id="web_abc")
    rig.exchange.visible[other.client_order_id] = other
    async with running_executor(rig):
        await trio.sleep(3)
    assert [each["client_order_id"] for each in rig.events()] == [order.client_order_id]
    assert rig.exchange.lists == ["BTCUSDT"]


async def test_events_of_an_order_under_search_are_not_lost(
    rig: ExecutorRig, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(60)
    (request,) = rig.exchange.requests
    partly = rig.exchange.state(request, "PARTIALLY_FILLED", "0.2")
    rig.exchange.visible[request.client_order_id] = partly
    rig.position("BTCUSDT", "0.2")
    plan_of = rig.store.plan_of

    async def slowly(client_order_id: ClientOrderId) -> PlanId | None:
        await trio.sleep(1)
        return await plan_of(client_order_id)

    monkeypatch.setattr(rig.store, "plan_of", slowly)
    async with running_executor(rig):
        await trio.sleep(1.5)
        assert rig.exchange.lists[-1] == "BTCUSDT"
        rig.observe(rig.exchange.state(request, "FILLED", "0.5"))
        await trio.sleep(3)
    published = [(each["executed"], each["filled_qty"]) for each in rig.published_results("p1")]
    assert published[-1] == ("true", "0.5")


@pytest.mark.parametrize("by", ["stream", "search"])
@pytest.mark.parametrize("broken", ["record", "type of the record", "type of the name"])
async def test_an_order_whose_record_cannot_be_read_is_held_and_keeps_no_other_waiting(
    rig: ExecutorRig, broken: str, by: str
) -> None:
    unreadable = foreign("ETHUSDT", "p33-00000000000000000000000000000000")
    name, record = rig.own.plan_of(unreadable.client_order_id), rig.own.order("p9")
    rig.redis.set(name, "p9")
    match broken:
        case "record":
            rig.redis.hset(record, {"state": "nonsense"})
        case "type of the record":
            rig.redis.set(record, "junk")
        case _:
            rig.redis.delete(name)
            rig.redis.hset(name, {"a": "b"})
    if by == "search":
        for each in (unreadable, foreign()):
            rig.exchange.visible[each.client_order_id] = each
            rig.position(each.symbol, "0.5")
    async with running_executor(rig):
        if by == "stream":
            rig.observe(unreadable)
            rig.observe(foreign())
        await trio.sleep(2)
    assert [each["client_order_id"] for each in rig.events()] == [foreign().client_order_id]
    assert rig.is_held("ETHUSDT") and rig.is_held("BTCUSDT")


async def test_the_search_waits_for_positions_and_reads_ledgers_of_symbols_that_are_not_in_the_book(
    rig: ExecutorRig,
) -> None:
    """Another shard publishes later, and a ledger may outlast its position."""
    listed = rig.symbol_rules.value or {}
    rig.symbol_rules.send({**listed, "SOLUSDT": listed["BTCUSDT"]})
    rig.ledger("SOLUSDT", "3")
    for number, symbol in enumerate(("ETHUSDT", "SOLUSDT")):
        order = foreign(symbol, f"p33-{number:032}")
        rig.exchange.visible[order.client_order_id] = order
    async with running_executor(rig):
        await trio.sleep(3)
        assert [each["symbol"] for each in rig.events()] == ["SOLUSDT"]
        rig.position("ETHUSDT", "0.5")
        await trio.sleep(6)
        assert [each["symbol"] for each in rig.events()] == ["SOLUSDT", "ETHUSDT"]
        await trio.sleep(700)
    assert rig.exchange.lists == ["SOLUSDT", "ETHUSDT"]


async def test_a_position_that_is_opened_behind_the_search_costs_no_list(rig: ExecutorRig) -> None:
    """Each list has a weight of 5; the stream shows the orders of such a position."""
    for symbol in rig.symbol_rules.value or {}:
        rig.position(symbol, "0.5" if symbol == "BTCUSDT" else "0")
    async with running_executor(rig):
        await trio.sleep(3)
        rig.position("ETHUSDT", "0.5")
        await trio.sleep(700)
    assert rig.exchange.lists == ["BTCUSDT"]


async def test_orders_that_could_not_be_read_are_searched_again_with_growing_pauses(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "0.5")
    order = foreign()
    rig.exchange.visible[order.client_order_id] = order
    rig.exchange.failure = ExchangeUnavailable("away")
    async with running_executor(rig):
        await trio.sleep(600)
        assert 10 < len(rig.exchange.lists) < 20
        rig.exchange.failure = None
        await trio.sleep(61)
    assert [each["client_order_id"] for each in rig.events()] == [order.client_order_id]


async def test_a_new_run_of_redis_is_searched_anew(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "0.5")
    async with running_executor(rig):
        await trio.sleep(3)
        rig.redis.delete(rig.keys.redis_run)
        await trio.sleep(3)
        assert rig.exchange.lists == ["BTCUSDT", "BTCUSDT"]
        await trio.sleep(700)
    assert rig.exchange.lists == ["BTCUSDT", "BTCUSDT"]


@pytest.mark.parametrize("again", [False, True])
async def test_an_orphan_holds_its_symbol_as_soon_as_another_lets_go_of_it(
    rig: ExecutorRig, again: bool
) -> None:
    """`again`: a process ends before that, and the next finds the orphan anew."""
    rig.redis.set(rig.keys.hold("BTCUSDT"), "1")
    order = foreign()
    rig.exchange.visible[order.client_order_id] = order
    rig.position("BTCUSDT", "0.5")
    async with running_executor(rig):
        rig.observe(order)
        await trio.sleep(60)
        assert rig.redis.get(rig.own.hold_sig("BTCUSDT")) is None
        if not again:
            rig.redis.delete(rig.keys.hold("BTCUSDT"))
            await trio.sleep(6)
    async with running_executor(rig):
        if again:
            rig.redis.delete(rig.keys.hold("BTCUSDT"))
        await trio.sleep(6)
    assert rig.redis.get(rig.own.hold_sig("BTCUSDT")) == f"exec:{order.client_order_id}".encode()
    assert rig.is_held() and rig.record(order.client_order_id)["state"] == "orphan"
    assert [each["event"] for each in rig.events()] == ["ORPHAN_ORDER"]


async def test_a_late_execution_is_announced_once_where_another_process_moved_its_record(
    rig: ExecutorRig, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(60)
        emit_event = rig.store.emit_event

        async def emit_and_move(fence: FencingToken, fields: Sequence[str]) -> None:
            await emit_event(fence, fields)
            version = int(rig.record("p1")["version"])
            if version < 4:
                rig.redis.hset(rig.own.order("p1"), {"version": str(version + 1)})

        monkeypatch.setattr(rig.store, "emit_event", emit_and_move)
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
    assert rig.published_results("p1")[-1]["executed"] == "true"
    assert [each["event"] for each in rig.events()] == ["EXECUTION_LATE"]
