"""Limit orders: what is refused, what is filled at once, what rests, and how it ends."""

from __future__ import annotations

from decimal import Decimal

import pytest

from simulator import NewOrder, SimulatedExchange
from simulator.errors import ApiError
from tests.simulator.clients import HandClock, Recorder, limit, market, order_events, refusal_code


@pytest.fixture(autouse=True)
def mark_price(exchange: SimulatedExchange) -> None:
    set_price(exchange, "50000")


def set_price(exchange: SimulatedExchange, price: str) -> None:
    exchange.mark_prices.set_price("BTCUSDT", Decimal(price), hold=True)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (limit("BUY", "0.01", "0"), -4001),
        (limit("BUY", "0.01", "1000001"), -4002),
        (limit("BUY", "0.01", "50000.05"), -4014),
        (limit("BUY", "0.01", "50000.005"), -1111),
        (limit("BUY", "0.01", "52500.1"), -4016),
        (limit("SELL", "0.01", "47499.9"), -4024),
        (limit("BUY", "0.0001", "50000"), -1111),
        (limit("BUY", "0", "50000"), -4003),
        (limit("BUY", "9999999", "50000"), -4005),
        (limit("BUY", "0.001", "4990"), -4164),
        (limit("SELL", "0.01", "51000", reduce_only=True), -2022),
        (limit("BUY", "0.01", "50000", position_side="LONG"), -4061),
        (limit("BUY", "0.01", "50000", symbol="NOSUCHUSDT"), -1121),
        (limit("BUY", "0.01", "49999", "FOK"), -5021),
        (limit("BUY", "0.01", "50000", "GTX"), -5022),
        (limit("SELL", "0.01", "50000", "GTX"), -5022),
    ],
)
def test_a_limit_order_that_breaks_a_rule_is_refused_with_binances_code(
    exchange: SimulatedExchange, order: NewOrder, code: int
) -> None:
    assert refusal_code(exchange, order) == code


def test_steps_and_ticks_within_the_precision_have_codes_of_their_own(exchange: SimulatedExchange) -> None:
    exchange.list_symbol(
        "FIVESUSDT", step_size=Decimal(5), tick_size=Decimal("0.05"), first_price=Decimal(100)
    )
    exchange.mark_prices.set_price("FIVESUSDT", Decimal(100), hold=True)
    assert refusal_code(exchange, limit("BUY", "7", "100", symbol="FIVESUSDT")) == -4023
    assert refusal_code(exchange, limit("BUY", "5", "100.03", symbol="FIVESUSDT")) == -4014
    assert exchange.place_order(limit("BUY", "5", "100.05", symbol="FIVESUSDT")).status == "FILLED"


def test_a_limit_order_may_be_larger_than_a_market_order(exchange: SimulatedExchange) -> None:
    exchange.faults.margin_checks = False
    most = exchange.symbol("BTCUSDT").market_max_qty
    assert refusal_code(exchange, market("BUY", str(most + 1))) == -4005
    assert exchange.place_order(limit("BUY", str(most + 1), "50000")).status == "FILLED"


@pytest.mark.parametrize("in_force", ["GTC", "IOC", "FOK"])
def test_an_order_at_a_better_price_than_the_market_is_filled_at_the_markets(
    exchange: SimulatedExchange, in_force: str
) -> None:
    order = exchange.place_order(limit("BUY", "0.01", "51000", in_force))
    assert (order.status, order.average_price, order.is_maker) == ("FILLED", Decimal(50000), False)


def test_a_resting_order_is_filled_at_its_price_when_the_mark_price_reaches_it(
    exchange: SimulatedExchange,
) -> None:
    recorder = Recorder(exchange)
    order = exchange.place_order(limit("BUY", "0.01", "49000", client_order_id="rests"))
    set_price(exchange, "49000.1")
    exchange.advance()
    assert not order.is_final
    set_price(exchange, "48000")
    exchange.advance()
    assert (order.status, order.average_price) == ("FILLED", Decimal(49000))
    assert order_events(recorder) == [
        ("NEW", "NEW", "0.000", "0.000", "0"),
        ("TRADE", "FILLED", "0.010", "0.010", "0"),
    ]
    new, trade = (event["o"] for event in recorder.payloads("ORDER_TRADE_UPDATE"))
    assert (new["o"], new["f"], new["p"], new["c"], new["m"]) == ("LIMIT", "GTC", "49000", "rests", False)
    assert (trade["ap"], trade["L"], trade["m"]) == ("49000.00000000", "49000", True)
    (lite,) = recorder.payloads("TRADE_LITE")
    assert (lite["p"], lite["m"]) == ("49000", True)
    # A maker pays less.
    assert Decimal(trade["n"]) == Decimal("0.01") * 49000 * Decimal("0.0002")


def test_a_resting_sale_waits_for_a_higher_price(exchange: SimulatedExchange) -> None:
    order = exchange.place_order(limit("SELL", "0.01", "50500", "GTX"))
    set_price(exchange, "50499.9")
    exchange.advance()
    assert not order.is_final
    set_price(exchange, "50500")
    exchange.advance()
    assert order.status == "FILLED"


def test_a_walking_mark_price_reaches_a_resting_order_by_itself(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.mark_prices.set_price("BTCUSDT", Decimal(50000))
    orders = [
        exchange.place_order(limit(*at)) for at in (("BUY", "0.01", "49990"), ("SELL", "0.01", "50010"))
    ]
    while not any(order.is_final for order in orders):
        clock.now_ms = exchange.due.next_ms or 0
        exchange.advance()
    assert {order.average_price for order in orders if order.is_final} <= {Decimal(49990), Decimal(50010)}


def test_with_the_switch_off_a_resting_order_waits_for_a_control_request(exchange: SimulatedExchange) -> None:
    exchange.faults.resting_orders_fill = False
    order = exchange.place_order(limit("BUY", "0.01", "49000"))
    set_price(exchange, "48000")
    exchange.advance()
    assert not order.is_final
    exchange.fill_remainder(order, Decimal("0.004"))
    assert (order.status, order.average_price) == ("PARTIALLY_FILLED", Decimal(49000))
    exchange.faults.resting_orders_fill = True
    exchange.advance()
    assert order.status == "FILLED"


def test_an_order_that_cannot_be_filled_at_once_expires(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    order = exchange.place_order(limit("BUY", "0.01", "49000", "IOC"))
    assert (order.status, order.executed) == ("EXPIRED", Decimal(0))
    exchange.faults.unfillable_limit_orders = "expired"
    assert exchange.place_order(limit("BUY", "0.01", "49000", "FOK")).status == "EXPIRED"
    assert exchange.place_order(limit("BUY", "0.01", "50000", "GTX")).status == "EXPIRED"
    reasons = [reason for execution, *_, reason in order_events(recorder) if execution == "EXPIRED"]
    assert reasons == ["2", "10", "11"]
    assert exchange.open_positions() == []


@pytest.mark.parametrize(
    ("mode", "resting", "incoming"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "FILLED"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
        ("NONE", "NEW", "FILLED"),
    ],
)
def test_an_account_does_not_trade_with_itself(
    exchange: SimulatedExchange, mode: str, resting: str, incoming: str
) -> None:
    recorder = Recorder(exchange)
    sale = exchange.place_order(limit("SELL", "0.01", "50100"))
    bought = exchange.place_order(limit("BUY", "0.01", "50100", self_trade_prevention=mode))
    assert (sale.status, bought.status) == (resting, incoming)
    ends = [
        (status, reason) for execution, status, *_, reason in order_events(recorder) if execution == "EXPIRED"
    ]
    assert ends == [("EXPIRED_IN_MATCH", "1")] * [resting, incoming].count("EXPIRED_IN_MATCH")


def test_an_order_is_cancelled_by_either_id_while_it_is_open(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    first = exchange.place_order(limit("BUY", "0.01", "49000", client_order_id="mine"))
    second = exchange.place_order(limit("BUY", "0.02", "49000"))
    exchange.fill_remainder(first, Decimal("0.004"))
    assert exchange.cancel_order("BTCUSDT", client_order_id="mine") is first
    assert exchange.cancel_order("BTCUSDT", order_id=second.order_id) is second
    assert (first.status, first.executed, second.status) == ("CANCELED", Decimal("0.004"), "CANCELED")
    assert order_events(recorder)[-2:] == [
        ("CANCELED", "CANCELED", "0.000", "0.004", "0"),
        ("CANCELED", "CANCELED", "0.000", "0.000", "0"),
    ]
    for ids in ({"client_order_id": "mine"}, {"order_id": 1}):
        with pytest.raises(ApiError, match="-2011"):
            exchange.cancel_order("BTCUSDT", **ids)
    set_price(exchange, "48000")
    exchange.advance()
    assert exchange.position("BTCUSDT").amount == Decimal("0.004")


def test_all_open_orders_of_one_symbol_are_cancelled(exchange: SimulatedExchange) -> None:
    of_it = [exchange.place_order(limit("BUY", "0.01", price)) for price in ("49000", "48000")]
    other = exchange.place_order(limit("BUY", "1", "3100", symbol="ETHUSDT"))
    exchange.cancel_all_orders("BTCUSDT")
    assert {order.status for order in of_it} == {"CANCELED"}
    assert other.status == "NEW"


def test_a_reduce_only_order_whose_position_has_gone_expires(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    exchange.place_order(market("BUY", "0.01"))
    order = exchange.place_order(limit("SELL", "0.01", "51000", reduce_only=True))
    exchange.place_order(market("SELL", "0.01"))
    set_price(exchange, "51000")
    exchange.advance()
    assert (order.status, exchange.position("BTCUSDT").amount) == ("EXPIRED", Decimal(0))
    assert order_events(recorder)[-1] == ("EXPIRED", "EXPIRED", "0.000", "0.000", "4")


def test_the_position_mode_does_not_change_beside_an_open_order(exchange: SimulatedExchange) -> None:
    exchange.place_order(limit("BUY", "0.01", "49000"))
    with pytest.raises(ApiError, match="-4067"):
        exchange.set_hedge_mode(True)


def test_at_most_two_hundred_orders_of_a_symbol_are_open(exchange: SimulatedExchange) -> None:
    for _ in range(200):
        exchange.place_order(limit("BUY", "0.001", "49000"))
    assert refusal_code(exchange, limit("BUY", "0.001", "49000")) == -2025
    assert exchange.place_order(limit("BUY", "1", "3100", symbol="ETHUSDT")).status == "NEW"


def test_a_wiped_account_has_no_open_orders_and_fills_none(exchange: SimulatedExchange) -> None:
    order = exchange.place_order(limit("BUY", "0.01", "49000"))
    exchange.wipe_account()
    set_price(exchange, "48000")
    exchange.advance()
    assert (exchange.open_positions(), exchange.orders.open()) == ([], [])
    with pytest.raises(ApiError, match="-2013"):
        exchange.find_order("BTCUSDT", order_id=order.order_id)
