from __future__ import annotations

from decimal import Decimal

import pytest

from simulator.symbols import load_symbols, plain


def test_all_569_symbols_carry_their_real_step_and_tick_sizes() -> None:
    symbols = load_symbols()
    assert len(symbols) == 569
    assert symbols["BTCUSDT"].step_size == Decimal("0.001")
    assert symbols["BTCUSDT"].tick_size == Decimal("0.10")
    assert symbols["BTCUSDT"].base_asset == "BTC"


def test_every_derived_limit_lies_on_its_grid() -> None:
    for symbol in load_symbols().values():
        assert symbol.first_price > 0
        assert symbol.first_price % symbol.tick_size == 0
        assert symbol.market_max_qty % symbol.step_size == 0
        assert symbol.min_qty <= symbol.market_max_qty <= symbol.max_qty


def test_quote_volumes_rank_the_symbols_without_ties() -> None:
    volumes = [symbol.quote_volume for symbol in load_symbols().values()]
    assert len(set(volumes)) == len(volumes)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        ("-0.000", 3, "0.000"),
        ("-0.0004", 3, "0.000"),
        ("1E-7", None, "0.0000001"),
        ("1E+3", 0, "1000"),
        ("-1.50", 1, "-1.5"),
    ],
)
def test_plain_text_has_no_exponent_and_no_negative_zero(value: str, places: int | None, text: str) -> None:
    assert plain(Decimal(value), places) == text
