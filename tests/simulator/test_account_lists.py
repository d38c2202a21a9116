"""Lists of orders and trades: their lag, their pages, forced orders, and who sent an order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from simulator import RestApi, RestRequest, RestResponse, SimulatedExchange
from simulator.external_events import Cause, Sender, move_position, settle
from tests.simulator.clients import (
    HandClock,
    Recorder,
    ask,
    decoded,
    error_code,
    limit,
    market,
    order_events,
    refusal_code,
)

ORDER, TRADES = "/fapi/v1/order", "/fapi/v1/userTrades"
ALL_ORDERS, FORCED = "/fapi/v1/allOrders", "/fapi/v1/forceOrders"
STEP = Decimal("0.001")


def read(exchange: SimulatedExchange, path: str, **parameters: object) -> RestResponse:
    return ask(exchange, "GET", path, symbol="BTCUSDT", **parameters)


def rows(exchange: SimulatedExchange, path: str, **parameters: object) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = decoded(read(exchange, path, **parameters))
    return listed


def move(exchange: SimulatedExchange, amount: str, cause: Cause = "trade", **more: Any) -> int:
    order = move_position(exchange, "BTCUSDT", target=Decimal(amount), cause=cause, **more)
    assert order is not None
    return order.order_id


def test_a_fill_is_in_lists_after_their_lag_and_in_position_and_query_at_once(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.faults.history_lag_ms = 5000
    order_id = move(exchange, "2", "liquidation")
    exchange.faults.history_lag_ms = 0
    clock.now_ms += 4999
    (position,) = decoded(read(exchange, "/fapi/v2/positionRisk"))
    assert position["positionAmt"] == "2.000"
    assert decoded(read(exchange, ORDER, orderId=order_id))["executedQty"] == "2.000"
    for path in (TRADES, ALL_ORDERS, FORCED):
        assert rows(exchange, path) == []
    clock.now_ms += 1
    for path in (TRADES, ALL_ORDERS, FORCED):
        assert [row["orderId"] for row in rows(exchange, path)] == [order_id]


def test_an_order_is_listed_with_the_fills_that_are(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.first_fill_share = Decimal("0.25")
    order = exchange.place_order(market("BUY", "1"))
    clock.now_ms += 10
    exchange.faults.history_lag_ms = 1000
    exchange.fill_remainder(order)
    (row,) = rows(exchange, ALL_ORDERS)
    assert (row["status"], row["executedQty"]) == ("PARTIALLY_FILLED", "0.250")
    assert row["updateTime"] == order.fills[0].transaction_time_ms
    clock.now_ms += 1000
    (row,) = rows(exchange, ALL_ORDERS)
    assert (row["status"], row["executedQty"]) == ("FILLED", "1.000")
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 2, 400
    exchange.first_fill_share = None
    exchange.place_order(market("BUY", "1"))
    clock.now_ms += 400
    exchange.advance()
    clock.now_ms += 600
    *_, row = rows(exchange, ALL_ORDERS)
    assert (row["status"], row["executedQty"]) == ("PARTIALLY_FILLED", "0.500")


def test_each_fill_has_a_lag_of_its_own(exchange: SimulatedExchange) -> None:
    exchange.faults.history_lag_ms = exchange.faults.history_lag_jitter_ms = 2500
    lags = {exchange.place_order(market("BUY", "0.01")).fills[0].listed_from_ms for _ in range(200)}
    soonest, latest = min(lags) - exchange.host_ms(), max(lags) - exchange.host_ms()
    assert 0 <= soonest < 250
    assert 4750 < latest <= 5000


def test_pages_can_be_cut_and_a_full_one_can_have_the_newest(exchange: SimulatedExchange) -> None:
    began_ms = exchange.host_ms()
    move(exchange, "1", parts=10)
    ids = [row["id"] for row in rows(exchange, TRADES)]
    assert len(ids) == 10
    exchange.faults.rows_at_most = 4
    wide: dict[str, object] = {"startTime": began_ms, "limit": 1000}
    assert [row["id"] for row in rows(exchange, TRADES, **wide)] == ids[:4]
    exchange.faults.full_pages_are_newest = True
    assert [row["id"] for row in rows(exchange, TRADES, **wide)] == ids[-4:]
    assert [row["id"] for row in rows(exchange, TRADES, fromId=ids[2])] == ids[2:6]
    exchange.faults.rows_at_most = 1000
    assert [row["id"] for row in rows(exchange, TRADES, **wide)] == ids


def test_forced_orders_are_those_of_liquidations_and_adl(exchange: SimulatedExchange) -> None:
    move(exchange, "5")
    liquidated, reduced = move(exchange, "3", "liquidation"), move(exchange, "2", "adl")
    settled = move(exchange, "0", "settlement")
    assert [row["orderId"] for row in rows(exchange, FORCED)] == [liquidated, reduced]
    (liquidation,) = rows(exchange, FORCED, autoCloseType="LIQUIDATION")
    (adl,) = rows(exchange, FORCED, autoCloseType="ADL")
    assert liquidation["clientOrderId"].startswith("autoclose-")
    assert adl["clientOrderId"] == "adl_autoclose"
    types = ("type", "origType", "timeInForce", "status", "executedQty")
    assert [liquidation[name] for name in types] == ["LIMIT", "LIMIT", "IOC", "FILLED", "2.000"]
    assert [adl[name] for name in types] == ["LIMIT", "LIMIT", "GTC", "FILLED", "1.000"]
    assert [row["orderId"] for row in rows(exchange, ALL_ORDERS)][1:] == [liquidated, reduced, settled]
    assert [row["orderId"] for row in decoded(ask(exchange, "GET", FORCED))] == [liquidated, reduced]
    assert decoded(ask(exchange, "GET", FORCED, symbol="ETHUSDT")) == []


def test_forced_orders_can_be_missing_everywhere_else(exchange: SimulatedExchange) -> None:
    move(exchange, "5")
    order_id = move(exchange, "3", "liquidation")
    exchange.faults.forced_orders_hidden = True
    assert order_id not in [row["orderId"] for row in rows(exchange, ALL_ORDERS)]
    assert error_code(read(exchange, ORDER, orderId=order_id)) == -2013
    assert [row["orderId"] for row in rows(exchange, FORCED)] == [order_id]
    assert order_id in [row["orderId"] for row in rows(exchange, TRADES)]
    exchange.faults.forced_orders_hidden = False
    assert decoded(read(exchange, ORDER, orderId=order_id))["orderId"] == order_id


def test_forced_orders_have_pages_of_their_own(exchange: SimulatedExchange, clock: HandClock) -> None:
    began_ms = clock.now_ms
    move(exchange, "1")
    ids = []
    for left in range(900, 780, -1):
        clock.now_ms += 1
        ids.append(move(exchange, str(left * STEP), "liquidation"))
    assert [row["orderId"] for row in rows(exchange, FORCED)] == ids[-50:]
    assert [row["orderId"] for row in rows(exchange, FORCED, startTime=began_ms, limit=100)] == ids[:100]
    assert rows(exchange, FORCED, endTime=began_ms) == []
    for parameters, code in (({"limit": 101}, -1130), ({"autoCloseType": "SETTLEMENT"}, -1130)):
        assert error_code(read(exchange, FORCED, **parameters)) == code
    assert error_code(read(exchange, FORCED, startTime=2, endTime=1)) == -1023


def test_forced_orders_of_all_symbols_weigh_more(exchange: SimulatedExchange) -> None:
    read(exchange, FORCED)
    assert exchange.weights.used(exchange.host_ms()) == 20
    ask(exchange, "GET", FORCED)
    assert exchange.weights.used(exchange.host_ms()) == 70
    unsigned = RestRequest(method="GET", path=FORCED, query="symbol=BTCUSDT", api_key=exchange.api_key)
    assert error_code(RestApi(exchange).answer(unsigned)) == -1102


@pytest.mark.parametrize(
    ("sender", "prefix"), [("web", "web_"), ("ios", "ios_"), ("android", "android_"), ("robot", "x-")]
)
def test_trades_of_others_have_the_client_order_ids_of_their_senders(
    exchange: SimulatedExchange, sender: Sender, prefix: str
) -> None:
    move(exchange, "1", sender=sender)
    move(exchange, "2", client_order_id="p33-0123456789abcdef")
    ids = [row["clientOrderId"] for row in rows(exchange, ALL_ORDERS)]
    assert ids[0].startswith(prefix)
    assert ids[1] == "p33-0123456789abcdef"


def test_a_liquidation_takes_a_part_of_a_position_in_several_fills(exchange: SimulatedExchange) -> None:
    move(exchange, "5")
    recorder = Recorder(exchange)
    order_id = move(exchange, "2", "liquidation", parts=7)
    assert exchange.position("BTCUSDT").amount == 2
    fills = [row for row in rows(exchange, TRADES) if row["orderId"] == order_id]
    assert sum((Decimal(row["qty"]) for row in fills), Decimal(0)) == 3
    assert len({row["id"] for row in fills}) == len({row["time"] for row in fills}) == 7
    _, *events = order_events(recorder)
    assert [event[1] for event in events] == ["PARTIALLY_FILLED"] * 6 + ["FILLED"]
    assert [event[0] for event in events] == ["CALCULATED"] * 7
    for parts in (0, 2001):
        with pytest.raises(ValueError, match="cannot be filled"):
            move(exchange, "0", parts=parts)


def test_a_delisted_symbol_is_settled_and_stops_trading(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    exchange.place_order(market("BUY", "2", leg="LONG"))
    exchange.place_order(market("SELL", "3", leg="SHORT"))
    resting = exchange.place_order(limit("BUY", "0.01", "10000", position_side="LONG"))
    recorder = Recorder(exchange)
    orders = settle(exchange, "BTCUSDT")
    assert exchange.open_positions() == []
    assert resting.status == "CANCELED"
    assert order_events(recorder)[0][-1] == "7"
    assert [(order.position_side, order.side) for order in orders] == [("LONG", "SELL"), ("SHORT", "BUY")]
    assert {order.client_order_id[:21] for order in orders} == {"settlement_autoclose-"}
    assert [row["orderId"] for row in rows(exchange, TRADES)][-2:] == [order.order_id for order in orders]
    assert refusal_code(exchange, market("BUY", "1", leg="LONG")) == -4140
    info = decoded(RestApi(exchange).answer(RestRequest(method="GET", path="/fapi/v1/exchangeInfo")))
    statuses = {symbol["symbol"]: symbol["status"] for symbol in info["symbols"]}
    assert (statuses["BTCUSDT"], statuses["ETHUSDT"]) == ("SETTLING", "TRADING")
    assert settle(exchange, "BTCUSDT") == []


def test_a_settlement_that_is_not_announced_shows_in_positions_and_trades_alone(
    exchange: SimulatedExchange,
) -> None:
    move(exchange, "2")
    recorder = Recorder(exchange)
    settle(exchange, "BTCUSDT", announced=False)
    assert recorder.events == []
    assert exchange.open_positions() == []
    assert rows(exchange, TRADES)[-1]["qty"] == "2.000"
