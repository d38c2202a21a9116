"""Margin: orders and leverages that the balance does not cover, and the account's totals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from simulator import SimulatedExchange
from simulator.external_events import change_balance, move_position
from tests.simulator.clients import HandClock, ask, decoded, error_code, limit, market, refusal_code


@pytest.fixture
def exchange(clock: HandClock) -> SimulatedExchange:
    """An account of 1000 USDT with leverage 10, whose mark prices stand still."""
    exchange = SimulatedExchange(host_ms=clock, wallet_balance=Decimal(1000))
    for symbol, price in (("BTCUSDT", 50000), ("ETHUSDT", 2500)):
        exchange.mark_prices.set_price(symbol, Decimal(price), hold=True)
        exchange.leverages[symbol] = 10
    return exchange


def change_leverage(exchange: SimulatedExchange, leverage: int) -> Any:
    return ask(exchange, "POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)


def test_an_order_needs_its_notional_through_the_leverage(exchange: SimulatedExchange) -> None:
    assert refusal_code(exchange, market("BUY", "0.201")) == -2019
    assert refusal_code(exchange, limit("BUY", "0.21", "49000")) == -2019
    exchange.place_order(market("BUY", "0.1"))
    assert refusal_code(exchange, market("BUY", "0.1")) == -2019  # the first one's commission
    assert refusal_code(exchange, market("SELL", "2", symbol="ETHUSDT")) == -2019
    exchange.faults.margin_checks = False
    assert exchange.place_order(market("BUY", "0.1")).status == "FILLED"


def test_margin_is_held_for_a_resting_order_and_freed_by_its_end(exchange: SimulatedExchange) -> None:
    order = exchange.place_order(limit("BUY", "0.2", "49000"))
    assert refusal_code(exchange, market("BUY", "0.02")) == -2019
    exchange.cancel_order("BTCUSDT", order_id=order.order_id)
    assert exchange.place_order(market("BUY", "0.02")).status == "FILLED"


def test_a_loss_takes_margin_and_closing_needs_none(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.1"))
    exchange.mark_prices.set_price("BTCUSDT", Decimal(41000), hold=True)
    assert refusal_code(exchange, market("BUY", "0.001")) == -2019
    assert exchange.place_order(market("SELL", "0.04")).status == "FILLED"
    assert exchange.place_order(market("SELL", "1", reduce_only=True)).executed == Decimal("0.06")


def test_a_position_has_a_largest_size(exchange: SimulatedExchange) -> None:
    exchange.set_max_notional("BTCUSDT", Decimal(5000))
    assert refusal_code(exchange, market("BUY", "0.101")) == -2027
    exchange.place_order(market("SELL", "0.1"))
    assert refusal_code(exchange, market("SELL", "0.001")) == -2027
    assert exchange.place_order(market("BUY", "0.2")).status == "FILLED"


def test_a_leverage_may_be_too_low_for_the_position(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.1"))
    assert error_code(change_leverage(exchange, 4)) == -2028
    assert decoded(change_leverage(exchange, 6))["leverage"] == 6
    exchange.faults.margin_checks = False
    assert decoded(change_leverage(exchange, 4))["leverage"] == 4


def test_the_two_refusals_of_a_leverage_share_a_code(exchange: SimulatedExchange) -> None:
    assert b"is not valid" in change_leverage(exchange, 126).body
    assert decoded(change_leverage(exchange, 10))["leverage"] == 10
    exchange.faults.refuse_same_leverage = True
    refused = change_leverage(exchange, 10)
    assert (error_code(refused), b"already exist with" in refused.body) == (-4028, True)
    assert decoded(change_leverage(exchange, 11))["leverage"] == 11


def test_a_thin_book_refuses_market_orders(exchange: SimulatedExchange) -> None:
    exchange.faults.thin_books = ["BTCUSDT"]
    assert refusal_code(exchange, market("BUY", "0.01")) == -4131
    assert exchange.place_order(limit("BUY", "0.01", "50000")).status == "FILLED"
    assert refusal_code(exchange, market("SELL", "0.01", reduce_only=True)) == -4131
    assert exchange.place_order(market("BUY", "1", symbol="ETHUSDT")).status == "FILLED"


def test_the_account_shows_totals_and_the_positions_that_are_not_flat(exchange: SimulatedExchange) -> None:
    move_position(exchange, "BTCUSDT", target=Decimal("0.1"))
    move_position(exchange, "ETHUSDT", target=Decimal(1))
    move_position(exchange, "ETHUSDT", target=Decimal(0))
    exchange.place_order(limit("BUY", "1", "2400", symbol="ETHUSDT"))
    exchange.mark_prices.set_price("BTCUSDT", Decimal(51000), hold=True)
    account = decoded(ask(exchange, "GET", "/fapi/v3/account"))
    wallet = exchange.wallet_balance
    totals = {
        "totalWalletBalance": wallet,
        "totalUnrealizedProfit": Decimal(100),
        "totalMarginBalance": wallet + 100,
        "totalPositionInitialMargin": Decimal(510),
        "totalOpenOrderInitialMargin": Decimal(240),
        "totalInitialMargin": Decimal(750),
        "totalMaintMargin": Decimal("20.4"),
        "availableBalance": wallet + 100 - 750,
    }
    assert {name: Decimal(account[name]) for name in totals} == totals
    (asset,) = account["assets"]
    assert (asset["asset"], Decimal(asset["marginBalance"])) == ("USDT", wallet + 100)
    (position,) = account["positions"]
    assert (position["symbol"], position["positionAmt"], position["positionSide"]) == (
        "BTCUSDT",
        "0.100",
        "BOTH",
    )
    (balance,) = decoded(ask(exchange, "GET", "/fapi/v3/balance"))
    assert (balance["asset"], Decimal(balance["balance"])) == ("USDT", wallet)
    assert Decimal(balance["availableBalance"]) == wallet + 100 - 750


def test_a_deposit_is_in_the_balance(exchange: SimulatedExchange) -> None:
    change_balance(exchange, "DEPOSIT", Decimal(500))
    assert Decimal(decoded(ask(exchange, "GET", "/fapi/v3/account"))["totalMarginBalance"]) == 1500
    assert exchange.place_order(market("BUY", "0.25")).status == "FILLED"
