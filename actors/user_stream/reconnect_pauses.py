"""Pauses between a lost session of the private stream and the next connection."""

from __future__ import annotations

from random import Random

from clock import Clock
from exchange.errors import AskLater, ExchangeError
from supervision.backoff import Backoff, RestartDelays

#: Only a session of 30 s shortens the pauses again: connections that end sooner are no progress. A session of
#: 5 s is followed by another connection within 0.5 s all the same: without the stream, decisions rest on
#: reads alone.
_SERVED_SEC = 5.0
_PAUSE_AFTER_SERVICE_SEC = 0.5
_BACKOFF = Backoff(initial_sec=0.1, maximum_sec=20.0, jitter=0.5, healthy_after_sec=30.0)


class ReconnectPauses:
    """Doubling pauses, which depend on how long the last session lasted and on what the exchange refused."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._delays = RestartDelays(_BACKOFF, rng)
        self._served_sec = 0.0

    def ran(self, seconds: float) -> None:
        """Record how long the session that ended has lasted."""
        self._served_sec = seconds
        self._delays.ran(seconds)

    def next_sec(self, refusal: ExchangeError | None) -> float:
        """Return the next pause; `refusal` is the error of a connection that failed."""
        pause_sec = self._delays.next_sec()
        if self._served_sec >= _SERVED_SEC:
            pause_sec = min(pause_sec, _PAUSE_AFTER_SERVICE_SEC)
        self._served_sec = 0.0
        if isinstance(refusal, AskLater):
            pause_sec = max(pause_sec, refusal.until.monotonic_sec - self._clock.now().monotonic_sec)
            return pause_sec + self._rng.uniform(0.0, 1.0)
        return pause_sec
