from __future__ import annotations

from decimal import Decimal

import pytest

from simulator import MarketOrder, SimulatedExchange
from simulator.errors import ApiError
from tests.simulator.clients import Recorder, market, refusal_code


def test_a_buy_and_a_sell_move_the_one_way_position(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.038"))
    exchange.place_order(market("SELL", "0.050"))
    assert exchange.position("BTCUSDT").amount == Decimal("-0.012")


def test_a_reduce_only_order_is_cut_to_the_position(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("SELL", "0.010"))
    order = exchange.place_order(market("BUY", "5", reduce_only=True))
    assert (order.status, order.executed, order.quantity) == ("FILLED", Decimal("0.010"), Decimal("0.010"))
    assert exchange.position("BTCUSDT").amount == 0


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_reduce_only_order_on_a_flat_position_is_2022(exchange: SimulatedExchange, side: str) -> None:
    assert refusal_code(exchange, market(side, "0.010", reduce_only=True)) == -2022


def test_a_reduce_only_order_along_the_position_is_2022(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.010"))
    assert refusal_code(exchange, market("BUY", "0.005", reduce_only=True)) == -2022


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (market("BUY", "0.0385"), -1111),
        (market("BUY", "0"), -4003),
        (market("BUY", "-1"), -4003),
        (market("BUY", "99999999"), -4005),
        (market("BUY", "1", symbol="NOSUCHUSDT"), -1121),
        (market("BUY", "1", symbol="DOGEUSDT"), -4164),
        (market("BUY", "0.01", leg="LONG"), -4061),
    ],
)
def test_orders_that_break_a_rule_are_refused_with_binances_code(
    exchange: SimulatedExchange, order: MarketOrder, code: int
) -> None:
    exchange.mark_prices.set_price("DOGEUSDT", Decimal("0.1"), hold=True)
    assert refusal_code(exchange, order) == code


def test_a_close_may_be_smaller_than_the_minimum_notional(exchange: SimulatedExchange) -> None:
    exchange.mark_prices.set_price("DOGEUSDT", Decimal("0.1"), hold=True)
    exchange.place_order(market("BUY", "100", symbol="DOGEUSDT"))
    exchange.place_order(market("SELL", "1", symbol="DOGEUSDT", reduce_only=True))
    assert exchange.position("DOGEUSDT").amount == 99


def test_a_client_order_id_is_taken_while_its_order_is_open(exchange: SimulatedExchange) -> None:
    def with_id(client_order_id: str, quantity: str = "0.01") -> MarketOrder:
        return MarketOrder(
            symbol="BTCUSDT", side="BUY", quantity=Decimal(quantity), client_order_id=client_order_id
        )

    exchange.first_fill_share = Decimal("0.5")
    first = exchange.place_order(with_id("plan-1"))
    assert refusal_code(exchange, with_id("plan-1")) == -4116
    exchange.fill_remainder(first)
    second = exchange.place_order(with_id("plan-1", "0.02"))
    assert exchange.find_order("BTCUSDT", client_order_id="plan-1") is second
    assert exchange.orders.named("plan-1") == [first, second]
    exchange.fill_remainder(second)
    exchange.faults.client_ids_unique_forever = True
    assert refusal_code(exchange, with_id("plan-1")) == -4116
    assert refusal_code(exchange, with_id("x" * 37)) == -4015


def test_a_symbol_that_no_longer_trades_can_only_be_closed(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.010"))
    exchange.listing.set_status("BTCUSDT", "SETTLING")
    assert refusal_code(exchange, market("BUY", "0.010")) == -4140
    exchange.place_order(market("SELL", "0.010", reduce_only=True))
    assert exchange.position("BTCUSDT").amount == 0


def test_hedge_mode_keeps_two_legs_and_asks_which(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    exchange.place_order(market("BUY", "0.03", leg="LONG"))
    exchange.place_order(market("SELL", "0.02", leg="SHORT"))
    assert exchange.position("BTCUSDT", "LONG").amount == Decimal("0.03")
    assert exchange.position("BTCUSDT", "SHORT").amount == Decimal("-0.02")
    assert refusal_code(exchange, market("BUY", "0.01")) == -4061


def test_a_hedge_order_against_its_leg_only_reduces_it(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    assert refusal_code(exchange, market("SELL", "0.01", leg="LONG")) == -2022
    exchange.place_order(market("BUY", "0.03", leg="LONG"))
    exchange.place_order(market("SELL", "1", leg="LONG"))
    assert exchange.position("BTCUSDT", "LONG").amount == 0
    assert refusal_code(exchange, market("SELL", "0.01", leg="SHORT", reduce_only=True)) == -1106


def test_the_position_mode_changes_only_while_flat(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.01"))
    with pytest.raises(ApiError, match="-4068"):
        exchange.set_hedge_mode(True)
    with pytest.raises(ApiError, match="-4059"):
        exchange.set_hedge_mode(False)


def test_a_partial_fill_leaves_the_order_open_until_it_is_filled(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    exchange.first_fill_share = Decimal("0.3")
    order = exchange.place_order(market("BUY", "1"))
    assert (order.status, order.executed) == ("PARTIALLY_FILLED", Decimal("0.300"))
    exchange.fill_remainder(order)
    assert order.status == "FILLED"
    fills = [event["o"] for event in recorder.payloads("ORDER_TRADE_UPDATE")]
    assert [(fill["x"], fill["X"], fill["l"], fill["z"]) for fill in fills] == [
        ("NEW", "NEW", "0.000", "0.000"),
        ("TRADE", "PARTIALLY_FILLED", "0.300", "0.300"),
        ("TRADE", "FILLED", "0.700", "1.000"),
    ]
    assert [event["a"]["P"][0]["pa"] for event in recorder.payloads("ACCOUNT_UPDATE")] == ["0.300", "1.000"]


def test_a_partial_fill_can_expire_instead(exchange: SimulatedExchange) -> None:
    exchange.first_fill_share = Decimal("0.0001")
    order = exchange.place_order(market("BUY", "1"))
    recorder = Recorder(exchange)
    exchange.end_order(order)
    exchange.fill_remainder(order)
    assert (order.status, order.executed) == ("EXPIRED", Decimal("0.001"))
    assert [event["o"]["X"] for event in recorder.payloads()] == ["EXPIRED"]


def test_a_reduce_only_remainder_never_turns_the_position(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "1"))
    exchange.first_fill_share = Decimal("0.5")
    order = exchange.place_order(market("SELL", "1", reduce_only=True))
    exchange.first_fill_share = None
    exchange.place_order(market("SELL", "0.4"))
    exchange.fill_remainder(order)
    assert exchange.position("BTCUSDT").amount == 0
    assert order.executed == Decimal("0.6")
