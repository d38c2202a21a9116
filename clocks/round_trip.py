"""Round trip to Redis, by the quickest answers of the last minute."""

from __future__ import annotations

import math

_HALF_WINDOW_SEC = 30.0


class RoundTrip:
    """Least time from a request to its answer, over the last 30 to 60 seconds.

    Answers come late for many reasons, early for none: the least is the way there and back.
    """

    def __init__(self) -> None:
        self._least_sec = self._least_before_sec = math.inf
        self._begun_sec = -math.inf

    @property
    def least_sec(self) -> float:
        """Least round trip (seconds); 0 before the first answer."""
        least_sec = min(self._least_sec, self._least_before_sec)
        return least_sec if least_sec < math.inf else 0.0

    def observe(self, sent_sec: float, received_sec: float) -> None:
        """Apply an answer, by this host's monotonic clock."""
        if received_sec - self._begun_sec >= _HALF_WINDOW_SEC:
            elapsed_sec = received_sec - self._begun_sec
            self._least_before_sec = self._least_sec if elapsed_sec < 2 * _HALF_WINDOW_SEC else math.inf
            self._least_sec = math.inf
            self._begun_sec = received_sec
        self._least_sec = min(self._least_sec, received_sec - sent_sec)
