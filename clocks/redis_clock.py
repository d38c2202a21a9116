"""Redis's clock between two bounds, without a request for each reading."""

from __future__ import annotations

import math

from brain.moment import Moment
from clocks.round_trip import RoundTrip

#: Two clocks drift apart by no more than this: what a time daemon slews at most, and a margin.
_DRIFT = 500e-6


class RedisClock:
    """Redis's clock, extrapolated by this host's monotonic clock from Redis's answers.

    An answer was made between its request and its arrival, which bounds the clock from both sides; the bounds
    of several answers are intersected. An answer that contradicts those before it (the clock was set, another
    server answers) replaces them. A step of this host's wall clock changes nothing. Before the first answer
    the clock is not `known`, and reading it raises LookupError.
    """

    def __init__(self) -> None:
        #: How far Redis's clock is ahead of the monotonic clock at least and at most (ms), at `_at_sec`.
        self._ahead_ms: tuple[float, float] | None = None
        self._at_sec = 0.0
        self.round_trip = RoundTrip()

    @property
    def known(self) -> bool:
        """True once an answer has shown the clock."""
        return self._ahead_ms is not None

    def observe(self, redis_ms: int, sent: Moment, received: Moment) -> None:
        """Apply an answer that showed `redis_ms`, to a request sent at `sent`."""
        self.round_trip.observe(sent.monotonic_sec, received.monotonic_sec)
        # The clock is shown in whole milliseconds.
        least_ms = redis_ms - received.monotonic_sec * 1000
        most_ms = redis_ms + 1 - sent.monotonic_sec * 1000
        if self._ahead_ms is not None:
            drift_ms = (received.monotonic_sec - self._at_sec) * 1000 * _DRIFT
            known_least_ms, known_most_ms = self._ahead_ms[0] - drift_ms, self._ahead_ms[1] + drift_ms
            if known_least_ms <= most_ms and least_ms <= known_most_ms:
                least_ms, most_ms = max(least_ms, known_least_ms), min(most_ms, known_most_ms)
        self._ahead_ms = least_ms, most_ms
        self._at_sec = received.monotonic_sec

    def now_ms(self, at: Moment) -> int:
        """Return Redis's epoch milliseconds at `at`, or up to one round trip less. Raises LookupError."""
        return math.floor(self._bounds(at)[0] + 0.01)

    def at_most_ms(self, at: Moment) -> int:
        """Return the latest that Redis's clock can have shown at `at` (epoch ms). Raises LookupError."""
        drift_ms = abs(at.monotonic_sec - self._at_sec) * 1000 * _DRIFT
        return math.ceil(self._bounds(at)[1] + drift_ms)

    def _bounds(self, at: Moment) -> tuple[float, float]:
        if self._ahead_ms is None:
            raise LookupError("Redis has not shown its clock yet")
        monotonic_ms = at.monotonic_sec * 1000
        return self._ahead_ms[0] + monotonic_ms, self._ahead_ms[1] + monotonic_ms
