"""Queries of orders and trades over the interface: single ones, lists, paging, visibility."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from simulator import RestResponse, SimulatedExchange
from tests.simulator.clients import HandClock, ask, decoded, error_code, limit, market

DAY_MS = 24 * 3600 * 1000
ORDER, OPEN_ORDER, OPEN_ORDERS = "/fapi/v1/order", "/fapi/v1/openOrder", "/fapi/v1/openOrders"
ALL_ORDERS, TRADES = "/fapi/v1/allOrders", "/fapi/v1/userTrades"


@pytest.fixture(autouse=True)
def mark_price(exchange: SimulatedExchange) -> None:
    exchange.mark_prices.set_price("BTCUSDT", Decimal(50000), hold=True)


def read(exchange: SimulatedExchange, path: str, **parameters: object) -> RestResponse:
    return ask(exchange, "GET", path, symbol="BTCUSDT", **parameters)


def listed(exchange: SimulatedExchange, path: str, **parameters: object) -> list[Any]:
    """Return the ids of the listed orders or trades."""
    name = "id" if path == TRADES else "orderId"
    return [row[name] for row in decoded(read(exchange, path, **parameters))]


def test_an_order_is_not_found_until_it_is_visible(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.faults.order_visible_after_ms = 2000
    order = exchange.place_order(limit("BUY", "0.01", "49000", client_order_id="mine"))
    ids: list[dict[str, object]] = [{"orderId": order.order_id}, {"origClientOrderId": "mine"}]
    for path in (ORDER, OPEN_ORDER):
        assert {error_code(read(exchange, path, **each)) for each in ids} == {-2013}
    assert listed(exchange, ALL_ORDERS) == listed(exchange, OPEN_ORDERS) == []
    exchange.faults.order_visible_after_ms = 0
    clock.now_ms += 1999
    assert error_code(read(exchange, ORDER, orderId=order.order_id)) == -2013
    clock.now_ms += 1
    for path in (ORDER, OPEN_ORDER):
        assert {decoded(read(exchange, path, **each))["orderId"] for each in ids} == {order.order_id}
    assert listed(exchange, ALL_ORDERS) == listed(exchange, OPEN_ORDERS) == [order.order_id]


def test_an_invisible_order_hides_behind_the_last_one_of_its_client_id(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    first = exchange.place_order(limit("BUY", "0.01", "50000", client_order_id="mine"))
    exchange.faults.order_visible_after_ms = 500
    second = exchange.place_order(limit("BUY", "0.02", "50000", client_order_id="mine"))
    assert decoded(read(exchange, ORDER, origClientOrderId="mine"))["orderId"] == first.order_id
    clock.now_ms += 500
    assert decoded(read(exchange, ORDER, origClientOrderId="mine"))["orderId"] == second.order_id


def test_an_order_can_be_cancelled_before_it_is_visible(exchange: SimulatedExchange) -> None:
    exchange.faults.order_visible_after_ms = 2000
    order = exchange.place_order(limit("BUY", "0.01", "49000", client_order_id="mine"))
    cancelled = decoded(ask(exchange, "DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine"))
    assert (cancelled["orderId"], cancelled["status"]) == (order.order_id, "CANCELED")
    assert not {"avgPrice", "cumQuote"} & cancelled.keys()
    assert error_code(ask(exchange, "DELETE", ORDER, symbol="BTCUSDT", orderId=order.order_id)) == -2011
    assert error_code(ask(exchange, "DELETE", ORDER, symbol="BTCUSDT")) == -1102


def test_all_open_orders_are_cancelled_over_the_interface(exchange: SimulatedExchange) -> None:
    exchange.place_order(limit("BUY", "0.01", "49000"))
    answer = decoded(ask(exchange, "DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT"))
    assert answer == {"code": 200, "msg": "The operation of cancel all open order is done."}
    assert listed(exchange, OPEN_ORDERS) == []
    assert error_code(ask(exchange, "DELETE", "/fapi/v1/allOpenOrders", symbol="NOSUCHUSDT")) == -1121


def test_a_limit_order_is_sent_and_shown_with_all_that_it_is(exchange: SimulatedExchange) -> None:
    request = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "quantity": "0.010", "price": "51000.5",
        "timeInForce": "GTX", "newClientOrderId": "mine", "newOrderRespType": "RESULT",
    }  # fmt: skip
    taken = decoded(ask(exchange, "POST", ORDER, **request))
    shown = decoded(read(exchange, OPEN_ORDER, origClientOrderId="mine"))
    for answer in (taken, shown):
        assert (answer["status"], answer["type"], answer["timeInForce"]) == ("NEW", "LIMIT", "GTX")
        assert (answer["price"], answer["origQty"], answer["side"]) == ("51000.5", "0.010", "SELL")
    assert (shown["avgPrice"], shown["cumQuote"]) == ("0.00", "0")


def test_open_orders_are_those_of_a_symbol_or_of_all(exchange: SimulatedExchange) -> None:
    filled = exchange.place_order(market("BUY", "0.01"))
    first = exchange.place_order(limit("BUY", "0.01", "49000"))
    second = exchange.place_order(limit("BUY", "1", "3100", symbol="ETHUSDT"))
    assert listed(exchange, OPEN_ORDERS) == [first.order_id]
    everything = decoded(ask(exchange, "GET", OPEN_ORDERS))
    assert [row["orderId"] for row in everything] == [first.order_id, second.order_id]
    assert error_code(read(exchange, OPEN_ORDER, orderId=filled.order_id)) == -2013


def test_all_orders_are_the_latest_or_those_from_an_id_or_a_moment_on(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    began_ms, ids = clock.now_ms, []
    for _ in range(5):
        ids.append(exchange.place_order(market("BUY", "0.01")).order_id)
        clock.now_ms += 1000
    assert listed(exchange, ALL_ORDERS) == ids
    assert listed(exchange, ALL_ORDERS, limit=2) == ids[-2:]
    assert listed(exchange, ALL_ORDERS, orderId=ids[1], limit=2) == ids[1:3]
    assert listed(exchange, ALL_ORDERS, startTime=began_ms + 1000, limit=2) == ids[1:3]
    assert listed(exchange, ALL_ORDERS, startTime=began_ms + 1000, endTime=began_ms + 2000) == ids[1:3]
    assert listed(exchange, ALL_ORDERS, endTime=began_ms + 1000) == ids[:2]
    assert decoded(ask(exchange, "GET", ALL_ORDERS, symbol="ETHUSDT")) == []
    clock.now_ms += 7 * DAY_MS
    assert listed(exchange, ALL_ORDERS) == []
    assert listed(exchange, ALL_ORDERS, startTime=began_ms) == ids


def test_trades_are_the_latest_or_those_from_an_id_or_a_moment_on(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    began_ms, ids = clock.now_ms, []
    for _ in range(5):
        ids += [fill.trade_id for fill in exchange.place_order(market("BUY", "0.01")).fills]
        clock.now_ms += 1000
    assert listed(exchange, TRADES) == ids
    assert listed(exchange, TRADES, limit=2) == ids[-2:]
    assert listed(exchange, TRADES, fromId=ids[1], limit=2) == ids[1:3]
    assert listed(exchange, TRADES, startTime=began_ms + 1000, limit=2) == ids[1:3]
    assert listed(exchange, TRADES, startTime=began_ms, endTime=began_ms + 999) == ids[:1]
    clock.now_ms += 7 * DAY_MS
    assert listed(exchange, TRADES) == []
    assert listed(exchange, TRADES, fromId=ids[3]) == ids[3:]


@pytest.mark.parametrize("path", [ALL_ORDERS, TRADES])
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"limit": 1001}, -1130),
        ({"limit": 0}, -1130),
        ({"limit": "many"}, -1102),
        ({"startTime": 2, "endTime": 1}, -1023),
        ({"startTime": 1, "endTime": 7 * DAY_MS + 2}, -1127),
    ],
)
def test_impossible_spans_and_limits_are_refused(
    exchange: SimulatedExchange, path: str, parameters: dict[str, object], code: int
) -> None:
    assert error_code(read(exchange, path, **parameters)) == code


def test_a_trade_id_goes_without_a_moment(exchange: SimulatedExchange) -> None:
    assert error_code(read(exchange, TRADES, fromId=1, startTime=1)) == -1128
    assert listed(exchange, TRADES, startTime=1, endTime=7 * DAY_MS + 1) == []


def test_a_thousand_rows_are_the_most_and_half_of_them_the_default(exchange: SimulatedExchange) -> None:
    ids = [exchange.place_order(market("BUY", "0.001")).order_id for _ in range(1001)]
    assert listed(exchange, ALL_ORDERS) == ids[-500:]
    assert listed(exchange, ALL_ORDERS, limit=1000, orderId=ids[0]) == ids[:1000]
    assert listed(exchange, ALL_ORDERS, orderId=ids[1000]) == ids[1000:]


def test_version_three_of_the_positions_shows_a_symbol_with_a_resting_order(
    exchange: SimulatedExchange,
) -> None:
    order = exchange.place_order(limit("BUY", "0.01", "49000"))
    (row,) = decoded(ask(exchange, "GET", "/fapi/v3/positionRisk"))
    assert (row["symbol"], row["positionAmt"]) == ("BTCUSDT", "0.000")
    exchange.cancel_order("BTCUSDT", order_id=order.order_id)
    assert decoded(ask(exchange, "GET", "/fapi/v3/positionRisk")) == []
