"""Transaction times of one account's changes: the exchange's clock, made to grow within a burst.

A clock that is set back makes later changes *older*, as on the exchange.
"""

from __future__ import annotations

from simulator.faults import Faults

#: Changes of one millisecond are given growing times, and none is shown before its time. A step back of the
#: clock by less than this counts as part of the burst.
LONGEST_BURST_MS = 50


class TransactionTimes:
    """Source of transaction times. Arguments and results are the exchange's clock, epoch milliseconds."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._last_ms = 0
        self._clock_at_last_ms = 0

    def next_ms(self, now_ms: int) -> int:
        """Return the time of a change at ``now_ms``: later than all before unless the clock was set back."""
        grown_ms = max(now_ms, self._last_ms + 1)
        self._last_ms = now_ms if self._set_back(now_ms) else grown_ms
        self._clock_at_last_ms = now_ms
        return self._last_ms

    def event_ms(self, now_ms: int) -> int:
        """Return the time of an event without a change: now, but not before the last change of a burst."""
        return now_ms if self._set_back(now_ms) else max(now_ms, self._last_ms)

    def ahead_ms(self, now_ms: int) -> int:
        """Return how far the last change's time is ahead of the clock (at most 50 ms)."""
        if self._set_back(now_ms):
            return 0
        return min(max(self._last_ms - now_ms, 0), LONGEST_BURST_MS)

    def _set_back(self, now_ms: int) -> bool:
        """Return True if the clock was set back since the last change and times follow it."""
        follow = self._faults.transaction_times_follow_clock
        return follow and now_ms <= self._clock_at_last_ms - LONGEST_BURST_MS
