"""Symbols that are compared, and those that are read in full, each cadence."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import Symbol

#: So many symbols are read in full each cadence, in turn: their holds, and the versions of their ledgers.
_IN_FULL = 32
#: So many symbols that agreed when they were compared last are compared each cadence, in turn.
_AT_REST = 500


class Turns:
    """Leaves out some of many symbols that agree: what moves one is known, or is found in its turn."""

    def __init__(self) -> None:
        self._in_full = self._compared = 0
        self._at_rest: set[Symbol] = set()

    def forget(self) -> None:
        """Compare all symbols next time."""
        self._at_rest.clear()

    def was_compared(self, symbol: Symbol, *, agrees: bool) -> None:
        """Record a comparison; `agrees`: both sides are equal, and no order is in flight."""
        if agrees:
            self._at_rest.add(symbol)
        else:
            self._at_rest.discard(symbol)

    def in_full(self, symbols: Sequence[Symbol]) -> Sequence[Symbol]:
        """Return the symbols whose turn it is to be read in full."""
        turn, self._in_full = _turn(symbols, self._in_full, _IN_FULL)
        return turn

    def compared(self, symbols: Sequence[Symbol]) -> Sequence[Symbol]:
        """Return those to compare: of more than 500 that agreed last time, some in turn."""
        at_rest = [each for each in symbols if each in self._at_rest]
        if len(at_rest) <= _AT_REST:
            return symbols
        turn, self._compared = _turn(at_rest, self._compared, _AT_REST)
        left_out = {*at_rest}.difference(turn)
        return [each for each in symbols if each not in left_out]


def _turn(symbols: Sequence[Symbol], begin: int, count: int) -> tuple[Sequence[Symbol], int]:
    """Return so many symbols from `begin` on, and where the next turn begins."""
    end = begin + count
    return symbols[begin:end], end if end < len(symbols) else 0
