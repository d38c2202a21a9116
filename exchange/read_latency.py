"""How long reads of positions take."""

from __future__ import annotations

from brain.symbols.candidates import EWMA_START_MS, smoothed
from exchange.protocol import PositionsRead


class ReadLatency:
    """The moving average over all reads, and how long the latest cycle took (milliseconds).

    A cycle is what it takes to have read everything that is kept warm: one bulk read, or, where symbols are
    read one by one, the time from one read of a symbol to its next.
    """

    def __init__(self) -> None:
        self.ewma_ms = EWMA_START_MS
        self.cycle_ms = 0.0

    def observe(self, read: PositionsRead) -> float:
        """Take one answered read into account; how long it took (milliseconds)."""
        took_ms = (read.received.monotonic_sec - read.sent.monotonic_sec) * 1000
        self.ewma_ms = smoothed(self.ewma_ms, took_ms)
        return took_ms
