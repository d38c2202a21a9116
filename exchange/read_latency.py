"""How long reads of positions take."""

from __future__ import annotations

from brain.candidates import EWMA_START_MS, smoothed
from exchange.protocol import PositionsRead


class ReadLatency:
    """The latest read's duration and the moving average over all (milliseconds)."""

    def __init__(self) -> None:
        self.ewma_ms = EWMA_START_MS
        self.latest_ms = 0.0

    def observe(self, read: PositionsRead) -> None:
        """Take one answered read into account."""
        self.latest_ms = (read.received.monotonic_sec - read.sent.monotonic_sec) * 1000
        self.ewma_ms = smoothed(self.ewma_ms, self.latest_ms)
