"""By how much the exchange's clock is ahead of this host's, at the least."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from brain.moment import Moment

_WINDOW_SEC = 60.0


class ExchangeLead:
    """What pushes and server time together say: the greater of two lower bounds.

    Nothing is told before it happened: so the exchange's clock is ahead by `T - arrival` of every push, or by
    more. The server time, less what its round trip leaves open, is the other bound. By either an exchange
    time is never put before its true moment on this host's clock, and after it by no more than the fastest
    push of the last minute took.
    """

    def __init__(self, exchange_ms_at_least: Callable[[Moment], int | None]) -> None:
        """`exchange_ms_at_least`: what the exchange's clock (epoch ms) surely showed then, if known."""
        self._exchange_ms_at_least = exchange_ms_at_least
        # By the monotonic clock, so that a step of this host's wall clock changes nothing.
        self._largest: deque[tuple[float, float]] = deque()

    def observe(self, exchange_ms: int, received: Moment) -> None:
        """Something that happened at `exchange_ms` was told at `received`."""
        lead_ms = exchange_ms - received.monotonic_sec * 1000
        while self._largest and self._largest[-1][1] <= lead_ms:
            self._largest.pop()
        self._largest.append((received.monotonic_sec, lead_ms))

    def at_least_ms(self, now: Moment) -> int | None:
        """Milliseconds that this host's wall clock is behind the exchange's, or more; None: not known."""
        while self._largest and now.monotonic_sec - self._largest[0][0] > _WINDOW_SEC:
            self._largest.popleft()
        server_ms = self._exchange_ms_at_least(now)
        bounds_ms = [] if server_ms is None else [server_ms]
        if self._largest:
            bounds_ms.append(math.floor(self._largest[0][1] + now.monotonic_sec * 1000))
        return max(bounds_ms) - now.wall_ms if bounds_ms else None
