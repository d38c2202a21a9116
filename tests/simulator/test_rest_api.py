from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from simulator import RestApi, RestResponse, SimulatedExchange
from simulator.external_events import move_position, set_leverage
from tests.simulator.clients import HandClock, Recorder, ask, ask_again, decoded, error_code, market

POSITIONS = "/fapi/v2/positionRisk"


def bitcoin_row(api: RestApi, exchange: SimulatedExchange) -> dict[str, Any]:
    """Return the row of BTCUSDT among all rows of version 2, which may be kept encoded."""
    rows: list[dict[str, Any]] = decoded(ask_again(api, exchange, "GET", POSITIONS))
    return next(row for row in rows if row["symbol"] == "BTCUSDT")


def test_an_unknown_path_is_404(exchange: SimulatedExchange) -> None:
    response = ask(exchange, "GET", "/fapi/v1/nothing")
    assert (response.status, error_code(response)) == (404, -5000)


def test_v2_lists_every_symbol_and_untouched_ones_have_no_update_time(exchange: SimulatedExchange) -> None:
    move_position(exchange, "ETHUSDT", delta=Decimal("-1.5"))
    rows = {row["symbol"]: row for row in decoded(ask(exchange, "GET", POSITIONS))}
    assert len(rows) == 569
    assert rows["BTCUSDT"]["positionAmt"] == "0.000"
    assert rows["BTCUSDT"]["updateTime"] == 0
    assert rows["ETHUSDT"]["positionAmt"] == "-1.500"
    assert rows["ETHUSDT"]["updateTime"] == exchange.history.changes("ETHUSDT")[0].transaction_time_ms
    assert all(isinstance(row["positionAmt"], str) for row in rows.values())


def test_v2_shows_each_change_at_once_in_spite_of_what_is_kept_encoded(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    api = RestApi(exchange)
    bitcoin = partial(bitcoin_row, api, exchange)
    assert bitcoin()["positionAmt"] == "0.000"
    move_position(exchange, "BTCUSDT", delta=Decimal(1))
    assert bitcoin()["positionAmt"] == "1.000"
    set_leverage(exchange, "BTCUSDT", 3)
    assert bitcoin()["leverage"] == "3"
    mark_price = bitcoin()["markPrice"]
    assert Decimal(mark_price) == exchange.mark_price("BTCUSDT")
    clock.now_ms += 5000
    assert bitcoin()["markPrice"] != mark_price
    exchange.listing.remove("ETHUSDT")
    assert len(decoded(ask_again(api, exchange, "GET", POSITIONS))) == 568


def test_v2_in_hedge_mode_has_both_legs(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    rows = decoded(ask(exchange, "GET", POSITIONS, symbol="BTCUSDT"))
    assert [row["positionSide"] for row in rows] == ["LONG", "SHORT"]
    assert decoded(ask(exchange, "GET", "/fapi/v1/positionSide/dual")) == {"dualSidePosition": True}


def test_v2_for_one_symbol_has_its_rows_only_and_unknown_ones_are_1121(exchange: SimulatedExchange) -> None:
    assert len(decoded(ask(exchange, "GET", POSITIONS, symbol="BTCUSDT"))) == 1
    assert error_code(ask(exchange, "GET", POSITIONS, symbol="NOSUCHUSDT")) == -1121


def test_v3_lists_open_positions_only(exchange: SimulatedExchange) -> None:
    move_position(exchange, "ETHUSDT", delta=Decimal(2))
    move_position(exchange, "BTCUSDT", delta=Decimal(1))
    move_position(exchange, "BTCUSDT", delta=Decimal(-1))
    rows = decoded(ask(exchange, "GET", "/fapi/v3/positionRisk"))
    assert [(row["symbol"], row["positionAmt"], row["marginAsset"]) for row in rows] == [
        ("ETHUSDT", "2.000", "USDT")
    ]


def test_v3_lists_flat_symbols_with_an_open_order_and_no_leverage(exchange: SimulatedExchange) -> None:
    exchange.first_fill_share = Decimal("0.5")
    exchange.place_order(market("BUY", "1"))
    exchange.place_order(market("SELL", "0.5", reduce_only=True))
    exchange.fill_remainder(exchange.orders.of("BTCUSDT")[1])
    move_position(exchange, "BTCUSDT", target=Decimal(0))
    (row,) = decoded(ask(exchange, "GET", "/fapi/v3/positionRisk"))
    assert (row["symbol"], row["positionAmt"], row["markPrice"]) == ("BTCUSDT", "0.000", "0.00000000")
    assert not {"leverage", "marginType"} & row.keys()
    exchange.end_order(exchange.orders.of("BTCUSDT")[0])
    assert decoded(ask(exchange, "GET", "/fapi/v3/positionRisk")) == []


def test_a_flat_row_has_no_mark_price_and_keeps_its_date_unless_switched(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    bitcoin = partial(bitcoin_row, RestApi(exchange), exchange)
    assert (bitcoin()["markPrice"], bitcoin()["entryPrice"]) == ("0.00000000", "0.0")
    exchange.faults.flat_rows_have_mark_price = True
    assert Decimal(bitcoin()["markPrice"]) == exchange.mark_price("BTCUSDT")
    for lost in (False, True):
        exchange.faults.flat_rows_lose_update_time = lost
        move_position(exchange, "BTCUSDT", target=Decimal(1))
        assert Decimal(bitcoin()["markPrice"]) == exchange.mark_price("BTCUSDT")
        move_position(exchange, "BTCUSDT", target=Decimal(0))
        assert bool(bitcoin()["updateTime"]) is not lost


def test_a_portfolio_margin_account_is_refused_and_its_key_says_so(exchange: SimulatedExchange) -> None:
    restrictions = "/sapi/v1/account/apiRestrictions"
    assert decoded(ask(exchange, "GET", restrictions))["enablePortfolioMarginTrading"] is False
    exchange.portfolio_margin = True
    assert decoded(ask(exchange, "GET", restrictions))["enablePortfolioMarginTrading"] is True
    for path in (POSITIONS, "/fapi/v1/accountConfig", "/fapi/v1/positionSide/dual"):
        refused = ask(exchange, "GET", path)
        assert (refused.status, error_code(refused)) == (401, -2015)
    assert ask(exchange, "GET", "/fapi/v1/exchangeInfo").status == 200


def test_exchange_info_carries_the_filters_and_follows_a_delisting(exchange: SimulatedExchange) -> None:
    api = RestApi(exchange)
    info = decoded(ask_again(api, exchange, "GET", "/fapi/v1/exchangeInfo"))
    bitcoin = info["symbols"][0]
    filters = {each["filterType"]: each for each in bitcoin["filters"]}
    assert (bitcoin["symbol"], bitcoin["status"], len(info["symbols"])) == ("BTCUSDT", "TRADING", 569)
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["MARKET_LOT_SIZE"]["stepSize"] == filters["LOT_SIZE"]["minQty"] == "0.001"
    assert filters["MIN_NOTIONAL"]["notional"] == "5"
    exchange.listing.set_status("BTCUSDT", "SETTLING")
    exchange.listing.remove("ETHUSDT")
    later = decoded(ask_again(api, exchange, "GET", "/fapi/v1/exchangeInfo"))
    assert later["symbols"][0]["status"] == "SETTLING"
    assert "ETHUSDT" not in {symbol["symbol"] for symbol in later["symbols"]}


def test_premium_index_and_ticker_know_one_symbol_or_all(exchange: SimulatedExchange) -> None:
    one = decoded(ask(exchange, "GET", "/fapi/v1/premiumIndex", symbol="BTCUSDT"))
    assert Decimal(one["markPrice"]) == exchange.mark_price("BTCUSDT")
    assert len(decoded(ask(exchange, "GET", "/fapi/v1/premiumIndex"))) == 569
    ticker = decoded(ask(exchange, "GET", "/fapi/v1/ticker/24hr", symbol="BTCUSDT"))
    assert Decimal(ticker["quoteVolume"]) == exchange.listing.symbols["BTCUSDT"].quote_volume
    assert len(decoded(ask(exchange, "GET", "/fapi/v1/ticker/24hr"))) == 569


def place(exchange: SimulatedExchange, **parameters: object) -> RestResponse:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010", **parameters}
    return ask(exchange, "POST", "/fapi/v1/order", **order)


def test_result_reports_what_was_executed_and_ack_only_that_it_was_taken(exchange: SimulatedExchange) -> None:
    exchange.mark_prices.set_price("BTCUSDT", Decimal(50000), hold=True)
    result = decoded(place(exchange, newOrderRespType="RESULT", newClientOrderId="plan-7"))
    filled = {"status": "FILLED", "executedQty": "0.010", "clientOrderId": "plan-7"}
    assert result | filled | {"positionSide": "BOTH", "cumQty": "0.010"} == result
    ack = decoded(place(exchange))
    assert (ack["status"], ack["executedQty"]) == ("NEW", "0.000")
    assert not {"avgPrice", "cumQuote"} & (ack.keys() | result.keys())
    exchange.faults.order_answers_with_average = True
    result = decoded(place(exchange, newOrderRespType="RESULT"))
    assert (result["avgPrice"], Decimal(result["cumQuote"])) == ("50000.00000000", Decimal(500))
    assert decoded(place(exchange))["avgPrice"] == "0.00"


def test_an_order_is_found_by_either_id(exchange: SimulatedExchange) -> None:
    path = "/fapi/v1/order"
    order = exchange.place_order(market("BUY", "0.010"))
    for query in ({"orderId": order.order_id}, {"origClientOrderId": order.client_order_id}):
        found = decoded(ask(exchange, "GET", path, symbol="BTCUSDT", **query))
        assert (found["orderId"], found["status"]) == (order.order_id, "FILLED")
    assert error_code(ask(exchange, "GET", path, symbol="ETHUSDT", orderId=order.order_id)) == -2013
    assert error_code(ask(exchange, "GET", path, symbol="BTCUSDT")) == -1102


def test_an_orders_trades_are_its_fills_with_their_times(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    path = "/fapi/v1/userTrades"
    exchange.first_fill_share = Decimal("0.3")
    order = exchange.place_order(market("SELL", "0.010"))
    first_ms = exchange.position("BTCUSDT").update_time_ms
    clock.now_ms += 250
    exchange.fill_remainder(order)
    exchange.first_fill_share = None
    exchange.place_order(market("BUY", "0.020"))
    trades = decoded(ask(exchange, "GET", path, symbol="BTCUSDT", orderId=order.order_id))
    shown = [(trade["qty"], trade["time"], trade["side"], trade["orderId"]) for trade in trades]
    assert shown == [
        ("0.003", first_ms, "SELL", order.order_id),
        ("0.007", first_ms + 250, "SELL", order.order_id),
    ]
    everything = decoded(ask(exchange, "GET", path, symbol="BTCUSDT"))
    assert [trade["qty"] for trade in everything] == ["0.003", "0.007", "0.020"]
    assert decoded(ask(exchange, "GET", path, symbol="BTCUSDT", limit=1)) == everything[-1:]
    assert decoded(ask(exchange, "GET", path, symbol="ETHUSDT", orderId=order.order_id)) == []
    assert error_code(ask(exchange, "GET", path, orderId=order.order_id)) == -1102


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"symbol": ""}, -1102),
        ({"side": ""}, -1102),
        ({"type": ""}, -1102),
        ({"side": "HOLD"}, -1117),
        ({"type": "LIMIT"}, -1102),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102),
        ({"type": "LIMIT", "timeInForce": "DAY", "price": "1"}, -1115),
        ({"type": "ICEBERG"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"type": "TRAILING_STOP_MARKET"}, -4120),
        ({"price": "65000"}, -1106),
        ({"timeInForce": "GTC"}, -1106),
        ({"newOrderRespType": "FULL"}, -1136),
        ({"newClientOrderId": "a b"}, -4015),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "line\n"}, -4015),
        ({"positionSide": "UP"}, -4060),
        ({"quantity": "NaN"}, -1102),
        ({"quantity": "1e"}, -1102),
        ({"quantity": ""}, -1102),
        ({"reduceOnly": "perhaps"}, -1102),
        ({"reduceOnly": "true"}, -2022),
        ({"symbol": "NOSUCHUSDT"}, -1121),
    ],
)
def test_an_ill_formed_order_request_is_refused(
    exchange: SimulatedExchange, parameters: dict[str, str], code: int
) -> None:
    assert error_code(place(exchange, **parameters)) == code
    assert exchange.history.legs() == []


def test_reduce_only_is_no_parameter_of_hedge_mode(exchange: SimulatedExchange) -> None:
    assert place(exchange, reduceOnly="false").status == 200
    move_position(exchange, "BTCUSDT", target=Decimal(0))
    exchange.set_hedge_mode(True)
    for given in ("false", "true"):
        assert error_code(place(exchange, positionSide="LONG", reduceOnly=given)) == -1106
    assert error_code(place(exchange)) == -4061
    assert place(exchange, positionSide="LONG").status == 200


def test_the_position_mode_is_changed_over_rest(exchange: SimulatedExchange) -> None:
    path = "/fapi/v1/positionSide/dual"
    assert ask(exchange, "POST", path, dualSidePosition="true").status == 200
    assert exchange.hedge_mode
    assert error_code(ask(exchange, "POST", path, dualSidePosition="true")) == -4059


def test_the_leverage_is_changed_over_rest_and_announced(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    answer = ask(exchange, "POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=21)
    assert decoded(answer) == {"symbol": "BTCUSDT", "leverage": 21, "maxNotionalValue": "20000000"}
    assert recorder.payloads("ACCOUNT_CONFIG_UPDATE")[0]["ac"] == {"s": "BTCUSDT", "l": 21}
    (row,) = decoded(ask(exchange, "GET", POSITIONS, symbol="BTCUSDT"))
    assert row["leverage"] == "21"
    for leverage in (0, 126):
        refused = ask(exchange, "POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)
        assert error_code(refused) == -4028
    assert error_code(ask(exchange, "POST", "/fapi/v1/leverage", symbol="NOSUCHUSDT", leverage=5)) == -1121
    assert exchange.leverage("BTCUSDT") == 21


def test_the_account_and_the_key_report_what_they_may_do(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    exchange.can_trade = False
    config = decoded(ask(exchange, "GET", "/fapi/v1/accountConfig"))
    assert (config["canTrade"], config["dualSidePosition"]) == (False, True)
    exchange.key_rights.ip_restrict = True
    rights = decoded(ask(exchange, "GET", "/sapi/v1/account/apiRestrictions"))
    assert rights["ipRestrict"] is True
    allowed = [rights[name] for name in ("enableReading", "enableFutures", "enableWithdrawals")]
    assert allowed == [True, True, False]


def test_a_key_without_the_right_is_refused_like_an_unknown_one(exchange: SimulatedExchange) -> None:
    exchange.key_rights.enable_futures = False
    assert ask(exchange, "GET", POSITIONS).status == 200
    refused = ask(exchange, "POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert (refused.status, error_code(refused)) == (401, -2015)
    exchange.key_rights.enable_reading = False
    refused = ask(exchange, "GET", POSITIONS)
    assert (refused.status, error_code(refused)) == (401, -2015)
