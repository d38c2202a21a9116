"""Symbols that the private stream does not cover, as `/status` shows them."""

from __future__ import annotations

from brain.moment import Moment
from channels import UNCOVERED_NOTICED_SEC, SnapshotBook
from monitoring.status.document import UncoveredShown, UncoveredSymbol

_MOST_NAMES = 20


def uncovered_shown(book: SnapshotBook, now: Moment) -> UncoveredShown:
    """Return those that are uncovered for long enough to be noticed, 20 by name."""
    shown = [
        UncoveredSymbol(symbol, each.why, for_sec)
        for symbol, each in sorted(book.uncovered.items())
        if (for_sec := each.since.age_sec(now)) >= UNCOVERED_NOTICED_SEC
    ]
    return UncoveredShown(len(shown), shown[:_MOST_NAMES])
