"""Symbols of which the exchange sent something unreadable: their plans are denied."""

from __future__ import annotations

from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from channels import LatestValue, SnapshotBook
from monitoring.service_log import SymbolLines, log_symbols

_MOST_CHARACTERS = 200
_UNREADABLE = SymbolLines(
    "Symbol cannot be read, its plans are denied", "More symbols cannot be read, their plans are denied"
)
_READABLE = SymbolLines("Symbol can be read again", "More symbols can be read again")


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
        """Return the number of symbols that cannot be read now."""
        return len(self._book.unreadable.keys() | (self._rules.value or {}).keys())

    def now(self) -> dict[str, str]:
        """Return the reason by symbol, in the symbols' order; at most 200 characters each."""
        rules, positions = self._rules.value or {}, self._book.unreadable
        reasons: dict[str, str] = {}
        for symbol in sorted(rules.keys() | positions.keys()):
            reason = f"exchangeInfo: {rules[symbol]}" if symbol in rules else f"position: {positions[symbol]}"
            # The exchange module has the key "" for a row without a readable symbol.
            reasons[symbol or "?"] = reason[:_MOST_CHARACTERS]
        return reasons

    def log_changes(self, log: FilteringBoundLogger) -> None:
        """Write a line for each symbol that became unreadable or readable since the last call."""
        reasons = self.now()
        appeared = [symbol for symbol in reasons if symbol not in self._logged]
        gone = sorted(self._logged - reasons.keys())
        self._logged = frozenset(reasons)
        log_symbols(log, _UNREADABLE, {symbol: reasons[symbol] for symbol in appeared})
        log_symbols(log, _READABLE, dict.fromkeys(gone))
