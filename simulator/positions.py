"""One leg of one symbol: signed amount, entry price, realised profit. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from simulator.history import FLAT, PositionSide
from simulator.symbols import Symbol

_ENTRY_PRICE_QUANTUM = Decimal("1e-8")


@dataclass(slots=True)
class Position:
    """A leg as the exchange books it. ``update_time_ms`` is 0 until the first change, and after a wipe."""

    symbol: Symbol
    position_side: PositionSide
    amount: Decimal = FLAT
    entry_price: Decimal = FLAT
    realized_profit: Decimal = FLAT
    update_time_ms: int = 0

    def apply_fill(self, delta: Decimal, price: Decimal, transaction_time_ms: int) -> Decimal:
        """Book a signed fill and return the profit it realised (fees apart).

        A fill beyond the position closes it and opens the rest at the fill's own price.
        """
        before, after = self.amount, self.amount + delta
        closed = min(abs(before), abs(delta)) if before * delta < 0 else FLAT
        direction = 1 if before > 0 else -1
        realized = (price - self.entry_price) * closed * direction
        if after == 0:
            self.entry_price = FLAT
        elif before * after < 0 or before == 0:
            self.entry_price = price
        elif not closed:
            cost = abs(before) * self.entry_price + abs(delta) * price
            self.entry_price = (cost / abs(after)).quantize(_ENTRY_PRICE_QUANTUM, ROUND_HALF_EVEN)
        self.amount = after
        self.realized_profit += realized
        self.update_time_ms = transaction_time_ms
        return realized

    def set(self, amount: Decimal, price: Decimal, update_time_ms: int) -> None:
        """Put the leg there without a fill; ``price`` is its entry price unless it has one or is flat."""
        if not amount:
            self.entry_price = FLAT
        elif not self.entry_price or amount * self.amount < 0:
            self.entry_price = price
        self.amount = amount
        self.update_time_ms = update_time_ms

    def unrealized_profit(self, mark_price: Decimal) -> Decimal:
        return (mark_price - self.entry_price) * self.amount
