"""Exposure of an account: the notional of all positions."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.numbers import ZERO
from brain.positions.position import Snapshot


class Exposure(msgspec.Struct, frozen=True):
    """Notional of all positions by mark price, in quote currency.

    `gross` sums the legs' absolute amounts, `net` their signed ones. `profit`: unrealised P&L.
    `unpriced`: symbols of which mark price or entry price is not known, so that one of the sums lacks them.
    """

    gross: Decimal
    net: Decimal
    profit: Decimal
    unpriced: int


class ExposureSum:
    """Sum over snapshots, one by one, so that other tasks can run in between."""

    def __init__(self) -> None:
        self._gross = self._net = self._profit = ZERO
        self._unpriced = 0

    def add(self, snapshot: Snapshot) -> None:
        """Add a symbol's position."""
        amounts = [leg.amount for leg in snapshot.legs if leg.amount]
        if not amounts:
            return
        mark_price, profit = snapshot.mark_price, snapshot.unrealized_pnl
        if mark_price is not None:
            self._gross += sum(map(abs, amounts), ZERO) * mark_price
            self._net += sum(amounts, ZERO) * mark_price
        if profit is None:
            self._unpriced += 1
        else:
            self._profit += profit

    def exposure(self) -> Exposure:
        """Return the sums so far."""
        return Exposure(self._gross, self._net, self._profit, self._unpriced)
