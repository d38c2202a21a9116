"""What the exchange's clock shows, reckoned from this host's monotonic clock."""

from __future__ import annotations

import math

from brain.moment import Moment

#: How much faster or slower one clock may run than the other: more than a quartz that nobody disciplines.
_DRIFT = 100e-6


class ServerTime:
    """The exchange's clock as last learnt.

    It is carried forward by the monotonic clock, so a step of this host's wall clock changes nothing. Its
    error is at most half the round trip in which it was learnt, and what the clocks drift apart.
    """

    def __init__(self) -> None:
        self.learnt_at: Moment | None = None
        self._exchange_ms = 0.0
        self._half_round_trip_ms = 0.0

    def learn(self, sent: Moment, exchange_ms: int, received: Moment) -> None:
        """The exchange said `exchange_ms` at a moment between `sent` and `received`: take the middle."""
        self._half_round_trip_ms = (received.monotonic_sec - sent.monotonic_sec) * 500
        self.learnt_at = received
        self._exchange_ms = exchange_ms + self._half_round_trip_ms

    def exchange_ms(self, at: Moment) -> int:
        """The exchange's clock (epoch ms) at that moment; this host's wall clock while nothing was learnt."""
        if self.learnt_at is None:
            return at.wall_ms
        return round(self._exchange_ms + (at.monotonic_sec - self.learnt_at.monotonic_sec) * 1000)

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        """Return the latest time the exchange's clock can have shown then (epoch ms); None: none learnt."""
        if self.learnt_at is None:
            return None
        since_ms = (at.monotonic_sec - self.learnt_at.monotonic_sec) * 1000
        drift_ms = abs(since_ms) * _DRIFT
        return math.ceil(self._exchange_ms + since_ms + self._half_round_trip_ms + drift_ms)

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        """What the exchange's clock (epoch ms) surely showed then; None while nothing was learnt."""
        if self.learnt_at is None:
            return None
        since_ms = (at.monotonic_sec - self.learnt_at.monotonic_sec) * 1000
        drift_ms = abs(since_ms) * _DRIFT
        return math.floor(self._exchange_ms + since_ms - self._half_round_trip_ms - drift_ms)
