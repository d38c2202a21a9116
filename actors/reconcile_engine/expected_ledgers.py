"""Ledgers that agree with positions, as P3.3 would store them."""

from __future__ import annotations

from collections.abc import Iterable

from brain.identifiers import Symbol
from brain.numbers import ZERO, plain
from brain.positions.position import Leg, LegPosition
from store.reconcile_records import ExpectedLedger


class ExpectedLedgers:
    """The latest expected ledger of each symbol: the same object until its position is another one."""

    def __init__(self) -> None:
        self._of_legs: dict[Symbol, tuple[tuple[LegPosition, ...], ExpectedLedger]] = {}

    def of(self, symbol: Symbol, legs: tuple[LegPosition, ...]) -> ExpectedLedger:
        """Return the ledger that agrees with the legs."""
        known = self._of_legs.get(symbol)
        # A read of the same position has its rows again, in another tuple.
        if known is None or (known[0] is not legs and known[0] != legs):
            known = self._of_legs[symbol] = legs, expected_ledger(symbol, legs)
        return known[1]


def expected_ledger(symbol: Symbol, legs: Iterable[LegPosition]) -> ExpectedLedger:
    """Return the ledger that agrees with a position."""
    amounts = {row.leg: row.amount for row in legs}
    total = plain(sum(amounts.values(), ZERO))
    if amounts.keys() <= {Leg.BOTH}:
        return ExpectedLedger(symbol, total, None, None)
    long, short = (plain(amounts.get(leg, ZERO)) for leg in (Leg.LONG, Leg.SHORT))
    return ExpectedLedger(symbol, total, long, short)
