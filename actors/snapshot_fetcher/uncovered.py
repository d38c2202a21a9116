"""Symbols of one shard whose snapshot nothing makes fresher, and why: for log, `/status` and page."""

from __future__ import annotations

import math

from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.read_schedule import Gap
from channels import UNCOVERED_NOTICED_SEC, SnapshotBook, Uncovered
from clock import Clock
from monitoring.service_log import SymbolLines, log_symbols

_LOOK_SEC = 1.0
_STALE = SymbolLines("No fresh snapshot", "No fresh snapshot of more symbols")
_FRESH = SymbolLines("Fresh snapshot again", "Fresh snapshot of more symbols again")


class UncoveredSymbols:
    """Keeps `SnapshotBook.uncovered` for one shard, and logs which symbols came and went."""

    def __init__(self, book: SnapshotBook, clock: Clock, log: FilteringBoundLogger) -> None:
        self._book = book
        self._clock = clock
        self._log = log
        self._uncovered: dict[str, Uncovered] = {}
        self._logged: set[str] = set()
        self._next_look_sec = -math.inf

    def set(self, symbol: str, gap: Gap | None) -> None:
        """Record why the symbol is uncovered; None: it is covered.

        A symbol whose rows are unreadable is listed as such in the book, and not here too.
        """
        if gap is None or gap is Gap.NO_CANDIDATE or symbol in self._book.unreadable:
            self._uncovered.pop(symbol, None)
            self._book.set_uncovered(symbol, None)
            return
        known = self._uncovered.get(symbol)
        if known is None or known.why != gap.value:
            since = self._clock.now() if known is None else known.since
            self._uncovered[symbol] = Uncovered(gap.value, since)
            self._book.set_uncovered(symbol, self._uncovered[symbol])

    def log_changes(self) -> None:
        """Log each symbol that is uncovered for 3 s, and each that no longer is: once a second at most."""
        now = self._clock.now()
        if now.monotonic_sec < self._next_look_sec or not (self._uncovered or self._logged):
            return
        self._next_look_sec = now.monotonic_sec + _LOOK_SEC
        appeared = [
            symbol
            for symbol, uncovered in self._uncovered.items()
            if symbol not in self._logged and uncovered.since.age_sec(now) >= UNCOVERED_NOTICED_SEC
        ]
        gone = sorted(self._logged - self._uncovered.keys())
        self._logged.update(appeared)
        self._logged.difference_update(gone)
        log_symbols(self._log, _STALE, {symbol: self._uncovered[symbol].why for symbol in appeared})
        log_symbols(self._log, _FRESH, dict.fromkeys(gone))
