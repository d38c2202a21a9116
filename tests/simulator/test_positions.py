from __future__ import annotations

from decimal import Decimal

from simulator.positions import Position
from simulator.symbols import load_symbols

BTC = load_symbols()["BTCUSDT"]


def fill(position: Position, delta: str, price: str, time_ms: int = 1) -> Decimal:
    return position.apply_fill(Decimal(delta), Decimal(price), time_ms)


def test_adding_averages_the_entry_price() -> None:
    position = Position(BTC, "BOTH")
    fill(position, "1", "100")
    fill(position, "3", "200")
    assert (position.amount, position.entry_price) == (Decimal(4), Decimal(175))


def test_reducing_keeps_the_entry_price_and_realises_profit() -> None:
    position = Position(BTC, "BOTH")
    fill(position, "-2", "100")
    assert fill(position, "0.5", "90") == Decimal(5)
    assert (position.amount, position.entry_price) == (Decimal("-1.5"), Decimal(100))
    assert position.realized_profit == Decimal(5)


def test_closing_forgets_the_entry_price() -> None:
    position = Position(BTC, "BOTH")
    fill(position, "1", "100")
    assert fill(position, "-1", "130", time_ms=7) == Decimal(30)
    assert (position.amount, position.entry_price, position.update_time_ms) == (Decimal(0), Decimal(0), 7)


def test_a_fill_beyond_the_position_turns_it_at_the_fills_price() -> None:
    position = Position(BTC, "BOTH")
    fill(position, "1", "100")
    assert fill(position, "-3", "110") == Decimal(10)
    assert (position.amount, position.entry_price) == (Decimal(-2), Decimal(110))


def test_unrealised_profit_of_a_short_falls_with_the_price() -> None:
    position = Position(BTC, "BOTH")
    fill(position, "-2", "100")
    assert position.unrealized_profit(Decimal(105)) == Decimal(-10)
