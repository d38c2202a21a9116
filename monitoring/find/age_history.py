"""The age of each symbol's snapshot by minute, of the last hour of this process."""

from __future__ import annotations

from array import array
from collections import deque

from brain.identifiers import Symbol
from channels import SnapshotBook
from clock import Clock

MINUTES = 60
_MINUTE_SEC = 60.0


class AgeHistory:
    """One number a symbol and minute: the age at the minute's look."""

    def __init__(self, book: SnapshotBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock
        self._minutes: deque[tuple[dict[str, int], array[float]]] = deque(maxlen=MINUTES)
        self._looked_sec = float("-inf")

    def look(self) -> None:
        """Note the ages, once a minute however often this is called."""
        now = self._clock.now()
        if now.monotonic_sec - self._looked_sec < _MINUTE_SEC:
            return
        self._looked_sec = now.monotonic_sec
        places: dict[str, int] = {}
        ages = array("f")
        for symbol in self._book.symbols():
            snapshot = self._book.get(symbol)
            if snapshot is not None:
                places[symbol] = len(ages)
                ages.append(snapshot.verified_at.age_sec(now))
        if self._minutes and self._minutes[-1][0] == places:
            # The same symbols as a minute ago, as nearly always: their places are kept once.
            places = self._minutes[-1][0]
        self._minutes.append((places, ages))

    def ages(self, symbol: Symbol) -> tuple[float | None, ...]:
        """Return the ages of a symbol, oldest first; None for a minute without a snapshot."""
        return tuple(
            None if symbol not in places else round(ages[places[symbol]], 2) for places, ages in self._minutes
        )
