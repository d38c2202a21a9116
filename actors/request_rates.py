"""How often the HTTP side may be asked for what costs something. Scrapes and probes are never counted."""

from __future__ import annotations

from clock import Clock


class RequestRate:
    """A bucket of requests that fills up again with time, one for all clients.

    One process answers and decides: what asks for the page a thousand times a second must not have it.
    """

    def __init__(self, clock: Clock, *, per_sec: float, burst: int) -> None:
        self._clock = clock
        self._per_sec = per_sec
        self._burst = burst
        self._left = float(burst)
        self._at_sec = clock.now().monotonic_sec

    def admit(self) -> float:
        """Take one request out; 0, or how many seconds there is none to be had for."""
        now_sec = self._clock.now().monotonic_sec
        self._left = min(self._left + (now_sec - self._at_sec) * self._per_sec, self._burst)
        self._at_sec = now_sec
        if self._left < 1:
            return (1 - self._left) / self._per_sec
        self._left -= 1
        return 0.0
