"""Orders and what became of them, at the simulator over real sockets."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from brain.execution.orders import (
    Accepted,
    NotSent,
    OrderRequest,
    OrderStatus,
    Refused,
    Unknown,
    client_order_id,
)
from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.positions.position import Leg
from exchange.errors import ExchangeRejected
from exchange.order_counts import OrderCounts
from exchange.order_requests import OrderRequests
from simulator import RunningSimulator, external_events
from simulator.faults import RestFault
from tests.exchange.parts import Parts

BTC = Symbol("BTCUSDT")
ORDER = "/fapi/v1/order"
OURS = client_order_id("quantum", PlanId("0123456789abcdef"))


class OrderParts:
    """Order requests to the simulator, with a clock that is synchronised."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        counts = OrderCounts(parts.clock, per_10s=240, per_min=960, exchange_ms=parts.server_time.exchange_ms)
        self.entry: OrderRequests = parts.rest.order_entry(counts, timeout_sec=2.0)

    def request(self, **changes: object) -> OrderRequest:
        request = OrderRequest(
            symbol=BTC,
            side="BUY",
            quantity=Decimal("0.010"),
            leg=Leg.BOTH,
            reduce_only=False,
            client_order_id=OURS,
            timestamp_ms=self.parts.rest.exchange_ms(self.parts.clock.now()),
            recv_window_ms=3000,
        )
        return msgspec.structs.replace(request, **changes)


@pytest.fixture
async def orders(parts: Parts) -> OrderParts:
    await parts.rest.synchronise_clock()
    return OrderParts(parts)


def placed(simulator: RunningSimulator) -> list[str]:
    """Return the client order ids of the account's orders."""
    return [order.client_order_id for order in simulator.exchange.orders.of(BTC)]


async def test_an_order_moves_the_position_and_is_found_by_its_client_order_id(
    simulator: RunningSimulator, orders: OrderParts
) -> None:
    assert await orders.entry.find_order(BTC, OURS) is None
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Accepted)
    assert outcome.order.status is OrderStatus.FILLED
    assert outcome.order.cumulative == Decimal("0.010")
    assert simulator.exchange.position(BTC).amount == Decimal("0.010")
    found = await orders.entry.find_order(BTC, OURS)
    assert found is not None
    assert (found.order_id, found.cumulative) == (outcome.order.order_id, Decimal("0.010"))
    assert await orders.entry.find_order(BTC, ClientOrderId("p33-another")) is None


async def test_a_close_in_each_mode_reduces_its_position(
    simulator: RunningSimulator, orders: OrderParts
) -> None:
    external_events.move_position(simulator.exchange, BTC, target=Decimal("-0.010"))
    outcome = await orders.entry.place_order(orders.request(reduce_only=True))
    assert isinstance(outcome, Accepted)
    assert simulator.exchange.position(BTC).amount == 0
    again = await orders.entry.place_order(orders.request(reduce_only=True))
    assert isinstance(again, Refused)
    assert again.error == "binance_error:-2022"
    simulator.exchange.set_hedge_mode(True)
    external_events.move_position(simulator.exchange, BTC, target=Decimal("-0.020"), position_side="SHORT")
    hedged = orders.request(leg=Leg.SHORT, reduce_only=True, client_order_id=ClientOrderId("p33-2"))
    outcome = await orders.entry.place_order(hedged)
    assert isinstance(outcome, Accepted)
    assert outcome.order.leg is Leg.SHORT
    assert simulator.exchange.position(BTC, "SHORT").amount == Decimal("-0.010")


@pytest.mark.parametrize(
    "fault", ["408", "-1007", "503_unknown", "truncated", "not_json", "reset", "hang", "deep_json"]
)
async def test_an_order_that_was_executed_without_a_usable_answer_is_unknown_and_not_repeated(
    simulator: RunningSimulator, orders: OrderParts, fault: RestFault
) -> None:
    simulator.exchange.faults.rest_faults_next = [fault]
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Unknown)
    assert not outcome.refused_unless_found
    assert len(simulator.exchange.requests.records(path=ORDER)) == 1
    assert placed(simulator) == [OURS]
    assert await orders.entry.find_order(BTC, OURS) is not None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("503_unavailable", "binance_error:503"),
        ("503_internal", "binance_error:503"),
        ("-1008", "binance_error:-1008"),
    ],
)
async def test_an_answer_that_is_documented_as_failed_is_refused_and_left_no_order(
    simulator: RunningSimulator, orders: OrderParts, fault: RestFault, error: str
) -> None:
    simulator.exchange.faults.rest_faults_next = [fault]
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Refused)
    assert outcome.error == error
    assert placed(simulator) == []


@pytest.mark.parametrize("fault", ["239999", "-1016", "html_maintenance", "403"])
async def test_maintenance_and_the_firewall_prove_nothing(
    simulator: RunningSimulator, orders: OrderParts, fault: RestFault
) -> None:
    simulator.exchange.faults.rest_faults_next = [fault]
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Unknown)
    again = await orders.entry.place_order(orders.request())
    assert again == NotSent("ban") if fault == "403" else isinstance(again, Accepted)


@pytest.mark.parametrize("fault", ["429", "418"])
async def test_a_ban_stops_orders_and_the_query_comes_after_it(
    simulator: RunningSimulator, orders: OrderParts, fault: RestFault
) -> None:
    simulator.exchange.faults.rest_faults_next = [fault]
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Unknown)
    assert outcome.refused_unless_found
    assert await orders.entry.place_order(orders.request()) == NotSent("ban")
    assert len(simulator.exchange.requests.records(path=ORDER)) == 1
    orders.parts.clock.ahead_sec += 200
    simulator.exchange.weights.lift_ban()
    assert await orders.entry.find_order(BTC, OURS) is None


async def test_the_exchange_refuses_a_request_that_comes_after_its_window(
    simulator: RunningSimulator, orders: OrderParts
) -> None:
    simulator.exchange.faults.clock_skew_ms = 10_000
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Refused)
    assert outcome.error == "binance_error:-1021"
    assert placed(simulator) == []


async def test_an_average_price_is_known_once_all_fills_are_shown(
    simulator: RunningSimulator, orders: OrderParts
) -> None:
    exchange = simulator.exchange
    exchange.first_fill_share = Decimal("0.3")
    exchange.mark_prices.set_price(BTC, Decimal("50000"), hold=True)
    outcome = await orders.entry.place_order(orders.request())
    assert isinstance(outcome, Accepted)
    exchange.mark_prices.set_price(BTC, Decimal("50100.1"), hold=True)
    [order] = exchange.orders.of(BTC)
    exchange.fill_remainder(order)
    order_id = OrderId(str(order.order_id))
    filled = Decimal("0.010")
    expected = sum((fill.quantity * fill.price for fill in order.fills), Decimal(0)) / filled
    assert await orders.entry.average_price(BTC, order_id, filled) == expected
    assert await orders.entry.average_price(BTC, order_id, Decimal("0.003")) is None
    assert await orders.entry.average_price(BTC, OrderId("1"), filled) is None


async def test_a_leverage_is_set_and_read_back(simulator: RunningSimulator, orders: OrderParts) -> None:
    await orders.entry.set_leverage(BTC, 7)
    assert await orders.entry.leverage(BTC) == simulator.exchange.leverage("BTCUSDT") == 7
    with pytest.raises(ExchangeRejected) as refused:
        await orders.entry.set_leverage(BTC, 500)
    assert refused.value.code == -4028
    assert await orders.entry.leverage(BTC) == 7
