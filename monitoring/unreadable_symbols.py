"""Symbols of which the exchange sent something unreadable: no plan of theirs is allowed meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from channels import LatestValue, SnapshotBook

#: Lines of one look at most: one changed format can concern every symbol at once.
_MOST_LINES = 20
_MOST_CHARACTERS = 200


class UnreadableSymbols:
    """Joins the symbols whose positions and those whose trading rules could not be read, and logs changes.

    Made once, outside the actor that logs: a restarted actor repeats nothing.
    """

    def __init__(self, book: SnapshotBook, rules: LatestValue[Mapping[str, str]]) -> None:
        """`rules`: the symbols that exchangeInfo lists in a form that cannot be read, and why."""
        self._book = book
        self._rules = rules
        self._logged: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """The number of symbols that cannot be read now."""
        return len(self._book.unreadable.keys() | (self._rules.value or {}).keys())

    def now(self) -> dict[str, str]:
        """The reason by symbol, in the symbols' order; at most 200 characters each."""
        rules, positions = self._rules.value or {}, self._book.unreadable
        reasons: dict[str, str] = {}
        for symbol in sorted(rules.keys() | positions.keys()):
            reason = f"exchangeInfo: {rules[symbol]}" if symbol in rules else f"position: {positions[symbol]}"
            # Of a row without a readable symbol the exchange module names "".
            reasons[symbol or "?"] = reason[:_MOST_CHARACTERS]
        return reasons

    def log_changes(self, log: FilteringBoundLogger) -> None:
        """Write a line for each symbol that became unreadable or readable since the last call.

        Of more than 20 changes at once the rest is one line with their number.
        """
        reasons = self.now()
        appeared = [symbol for symbol in reasons if symbol not in self._logged]
        gone = sorted(self._logged - reasons.keys())
        self._logged = frozenset(reasons)
        for symbol in appeared[:_MOST_LINES]:
            log.warning("Symbol cannot be read, its plans are denied", symbol=symbol, why=reasons[symbol])
        if left_out := appeared[_MOST_LINES:]:
            log.warning("More symbols cannot be read, their plans are denied", symbols=len(left_out))
        for symbol in gone[:_MOST_LINES]:
            log.warning("Symbol can be read again", symbol=symbol)
        if left_out := gone[_MOST_LINES:]:
            log.warning("More symbols can be read again", symbols=len(left_out))
