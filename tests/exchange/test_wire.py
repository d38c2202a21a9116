from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from brain.position import Leg
from brain.symbol_rules import SymbolRules
from exchange import wire
from exchange.errors import ExchangeUnavailable


def risk(symbol: str, leg: str, amount: str, **changes: str | int) -> dict[str, str | int]:
    row: dict[str, str | int] = {
        "symbol": symbol,
        "positionAmt": amount,
        "entryPrice": "22185.2",
        "breakEvenPrice": "0.0",
        "markPrice": "21123.05052574",
        "leverage": "4",
        "positionSide": leg,
        "updateTime": 1_655_217_461_579,
    }
    return {**row, **changes}


def rows_of(*rows: dict[str, str | int]) -> list[tuple[str, Leg, Decimal]]:
    raw = wire.Body(msgspec.json.encode(rows)).read(wire.POSITION_RISK)
    read = wire.tradable_rows(wire.position_rows(raw, 1))
    return [(row.symbol, row.position.leg, row.position.amount) for row in read]


def info(*filters: dict[str, str], status: str = "TRADING") -> wire.SymbolInfo:
    symbol = {"symbol": "BTCUSDT", "status": status, "contractType": "PERPETUAL", "filters": filters}
    raw = msgspec.json.encode({"symbols": [symbol]})
    return wire.Body(raw).read(wire.EXCHANGE_INFO).symbols[0]


LOT = {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"}
MARKET = {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.01", "minQty": "0.02", "maxQty": "120"}
PRICE = {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "2"}


def test_a_flat_both_row_beside_legs_is_left_out_and_one_with_an_amount_is_not() -> None:
    legs = (risk("BTCUSDT", "LONG", "0.001"), risk("BTCUSDT", "SHORT", "0"))
    assert rows_of(risk("BTCUSDT", "BOTH", "0"), *legs) == rows_of(*legs)
    assert len(rows_of(risk("BTCUSDT", "BOTH", "1"), *legs)) == 3
    assert rows_of(risk("ETHUSDT", "BOTH", "0"), *legs)[0][0] == "ETHUSDT"


@pytest.mark.parametrize("field", ["positionAmt", "entryPrice", "markPrice", "leverage"])
@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e15", "1e-19", "x", ""])
def test_a_row_with_a_number_that_is_none_makes_the_whole_answer_unreadable(field: str, value: str) -> None:
    with pytest.raises(ExchangeUnavailable):
        rows_of(risk("ETHUSDT", "BOTH", "1"), risk("BTCUSDT", "BOTH", "1", **{field: value}))


def test_market_orders_follow_the_market_lot_size() -> None:
    assert wire.rules_of(info(PRICE, LOT, MARKET)) == SymbolRules(
        "BTCUSDT", True, Decimal("0.01"), Decimal("0.02"), Decimal(120)
    )


def test_a_market_step_of_zero_means_the_lot_size_step() -> None:
    rules = wire.rules_of(info(LOT, {**MARKET, "stepSize": "0.000"}))
    assert rules == SymbolRules("BTCUSDT", True, Decimal("0.001"), Decimal("0.02"), Decimal(120))


def test_without_a_market_lot_size_the_lot_size_holds_and_without_either_there_are_no_rules() -> None:
    assert wire.rules_of(info(LOT)) == SymbolRules(
        "BTCUSDT", True, Decimal("0.001"), Decimal("0.001"), Decimal(1000)
    )
    assert wire.rules_of(info(PRICE)) is None


@pytest.mark.parametrize("status", ["SETTLING", "PENDING_TRADING", "CLOSE", "PRE_DELIVERING"])
def test_only_the_status_trading_trades(status: str) -> None:
    rules = wire.rules_of(info(LOT, MARKET, status=status))
    assert rules is not None
    assert not rules.trading
