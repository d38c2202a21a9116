"""Mark prices as a seeded random walk on the tick grid, one step a second.

The same seed gives the same price in the n-th second, however many clients ask and however often.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from zlib import crc32

from simulator.symbols import Symbol

_LARGEST_STEP_SHARE = 2_000  # a step moves at most one part in this many
_MOST_STEPS_AT_ONCE = 60
_MASK = (1 << 64) - 1


class MarkPrices:
    """The current mark price of every symbol. ``generation`` grows whenever any of them may have moved."""

    def __init__(self, symbols: Mapping[str, Symbol], seed: int) -> None:
        self.generation = 0
        self._seed = seed
        self._symbols: dict[str, Symbol] = {}
        self._ticks: dict[str, int] = {}
        self._seeds: dict[str, int] = {}
        for symbol in symbols.values():
            self.add(symbol)
        self._held: set[str] = set()
        self._first_second: int | None = None
        self._steps_taken = 0

    def add(self, symbol: Symbol) -> None:
        """Start a walk at the symbol's first price."""
        self._symbols[symbol.name] = symbol
        self._ticks[symbol.name] = int(symbol.first_price / symbol.tick_size)
        self._seeds[symbol.name] = crc32(symbol.name.encode()) ^ (self._seed << 32)
        self.generation += 1

    def price(self, symbol: str) -> Decimal:
        return self._ticks[symbol] * self._symbols[symbol].tick_size

    def set_price(self, symbol: str, price: Decimal, *, hold: bool = False) -> None:
        """Put the price there, rounded to the tick; with ``hold`` it stays, else the walk goes on from it."""
        self._ticks[symbol] = max(1, int((price / self._symbols[symbol].tick_size).to_integral_value()))
        if hold:
            self._held.add(symbol)
        else:
            self._held.discard(symbol)
        self.generation += 1

    def advance_to(self, now_ms: int) -> None:
        """Take the steps that are due. After a leap of the clock at most a minute's worth are taken."""
        second = now_ms // 1000
        if self._first_second is None:
            self._first_second = second
        due = second - self._first_second
        if due <= self._steps_taken:
            return
        self._steps_taken = max(self._steps_taken, due - _MOST_STEPS_AT_ONCE)
        while self._steps_taken < due:
            self._steps_taken += 1
            self._step(self._steps_taken)
        self.generation += 1

    def _step(self, index: int) -> None:
        ticks = self._ticks
        for name, seed in self._seeds.items():
            if name in self._held:
                continue
            now = ticks[name]
            share = _mix(seed + index * 0x9E3779B97F4A7C15) % 2001 - 1000
            ticks[name] = max(1, now + now * share // (1000 * _LARGEST_STEP_SHARE))


def _mix(value: int) -> int:
    """Apply the finaliser of splitmix64: neighbouring inputs give unrelated outputs."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
