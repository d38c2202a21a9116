"""By how much the exchange's clock is ahead of this host's, judged by what it pushed."""

from __future__ import annotations

from collections import deque

from brain.moment import Moment

_WINDOW_SEC = 60.0


class ExchangeLead:
    """The largest `T - arrival` of the last minute: the true lead, less the shortest push delay seen.

    So an exchange time is never put before its true moment on this host's clock, and after it by no more
    than the fastest push of the minute took.
    """

    def __init__(self) -> None:
        self._largest: deque[tuple[float, int]] = deque()

    def observe(self, exchange_ms: int, received: Moment) -> None:
        """Something that happened at `exchange_ms` was told at `received`."""
        lead_ms = exchange_ms - received.wall_ms
        while self._largest and self._largest[-1][1] <= lead_ms:
            self._largest.pop()
        self._largest.append((received.monotonic_sec, lead_ms))

    def lead_ms(self, now: Moment) -> int | None:
        """Milliseconds; None when nothing was pushed within the last minute."""
        while self._largest and now.monotonic_sec - self._largest[0][0] > _WINDOW_SEC:
            self._largest.popleft()
        return self._largest[0][1] if self._largest else None
