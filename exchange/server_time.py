"""Estimate of the exchange's clock, carried forward by this host's monotonic clock."""

from __future__ import annotations

import math

from brain.moment import Moment

#: Largest relative drift between the two clocks: more than that of an unsynchronised quartz.
_DRIFT = 100e-6


class ServerTime:
    """The exchange's clock at the latest synchronisation.

    The monotonic clock carries it forward, so a step of this host's wall clock changes nothing. Its error is
    at most half the round trip of the synchronisation plus the drift since.
    """

    def __init__(self) -> None:
        self.learnt_at: Moment | None = None
        self._exchange_ms = 0.0
        self._half_round_trip_ms = 0.0

    def learn(self, sent: Moment, exchange_ms: int, received: Moment) -> None:
        """Record that the exchange's clock was `exchange_ms` in the middle between `sent` and `received`."""
        self._half_round_trip_ms = (received.monotonic_sec - sent.monotonic_sec) * 500
        self.learnt_at = received
        self._exchange_ms = exchange_ms + self._half_round_trip_ms

    def exchange_ms(self, at: Moment) -> int:
        """Return the exchange's clock at a moment (epoch ms), this host's wall clock if not synchronised."""
        if self.learnt_at is None:
            return at.wall_ms
        return round(self._exchange_ms + (at.monotonic_sec - self.learnt_at.monotonic_sec) * 1000)

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        """Return the latest time of the exchange's clock at a moment (epoch ms); None: not synchronised."""
        if self.learnt_at is None:
            return None
        since_ms = (at.monotonic_sec - self.learnt_at.monotonic_sec) * 1000
        drift_ms = abs(since_ms) * _DRIFT
        return math.ceil(self._exchange_ms + since_ms + self._half_round_trip_ms + drift_ms)

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        """Return the earliest time of the exchange's clock at a moment (epoch ms); None: not synchronised."""
        if self.learnt_at is None:
            return None
        since_ms = (at.monotonic_sec - self.learnt_at.monotonic_sec) * 1000
        drift_ms = abs(since_ms) * _DRIFT
        return math.floor(self._exchange_ms + since_ms - self._half_round_trip_ms - drift_ms)
