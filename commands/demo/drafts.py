"""Drafts of plans for a symbol in a state."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import NamedTuple

from commands.demo.plans import Fields, entry, harvest_exit
from commands.demo.scenarios import SymbolState

_SMALL_NOTIONAL = Decimal(60)
_FEWEST_STEPS = 12


class Draft(NamedTuple):
    """The inputs of a case."""

    state: SymbolState
    rng: Random
    now_sec: float

    @property
    def side(self) -> str:
        """The order side that reduces the position."""
        return "SELL" if self.state.amount > 0 else "BUY"

    @property
    def size(self) -> Decimal:
        return abs(self.state.amount)

    def entry(self, side: str, quantity: Decimal | None, **changes: str) -> Fields:
        return entry(self.state.symbol, side, quantity, self.rng, self.now_sec) | changes

    def exit(self, action: str, **changes: str) -> Fields:
        return harvest_exit(self.state.symbol, action, self.rng, self.now_sec) | changes

    def some_quantity(self) -> Decimal:
        """Draw a quantity above the exchange's least notional, small enough to be added to a few times."""
        step = self.state.symbol.step
        least = max(_FEWEST_STEPS, int(_SMALL_NOTIONAL / self.state.symbol.price / step) + 1)
        return step * self.rng.randint(least, 3 * least)
