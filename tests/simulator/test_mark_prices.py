from __future__ import annotations

from decimal import Decimal

from simulator.mark_prices import MarkPrices
from simulator.symbols import load_symbols

SYMBOLS = load_symbols()


def prices_after(seed: int, times_ms: list[int]) -> list[Decimal]:
    prices = MarkPrices(SYMBOLS, seed)
    for time_ms in times_ms:
        prices.advance_to(time_ms)
    return [prices.price(name) for name in SYMBOLS]


def test_the_same_seed_gives_the_same_prices_however_often_they_are_asked_for() -> None:
    assert prices_after(3, [0, 5000]) == prices_after(3, [0, 900, 1000, 1001, 3500, 5999])


def test_another_seed_gives_other_prices() -> None:
    assert prices_after(3, [0, 5000]) != prices_after(4, [0, 5000])


def test_prices_move_each_second_and_stay_on_the_tick_grid() -> None:
    prices = MarkPrices(SYMBOLS, 1)
    prices.advance_to(0)
    before = {name: prices.price(name) for name in SYMBOLS}
    prices.advance_to(999)
    assert {name: prices.price(name) for name in SYMBOLS} == before
    prices.advance_to(1000)
    moved = [name for name in SYMBOLS if prices.price(name) != before[name]]
    assert len(moved) > len(SYMBOLS) // 2
    for name, symbol in SYMBOLS.items():
        assert prices.price(name) % symbol.tick_size == 0
        assert prices.price(name) > 0


def test_a_held_price_stays_and_a_set_one_walks_on() -> None:
    prices = MarkPrices(SYMBOLS, 1)
    prices.advance_to(0)
    prices.set_price("BTCUSDT", Decimal("50000.04"), hold=True)
    prices.set_price("ETHUSDT", Decimal(2000))
    prices.advance_to(5000)
    assert prices.price("BTCUSDT") == Decimal("50000.00")
    assert prices.price("ETHUSDT") != Decimal(2000)


def test_a_clock_that_leaps_or_goes_back_costs_no_more_than_a_minute_of_steps() -> None:
    prices = MarkPrices(SYMBOLS, 1)
    prices.advance_to(0)
    prices.advance_to(10**12)
    generation = prices.generation
    prices.advance_to(10**12 - 5000)
    assert prices.generation == generation
