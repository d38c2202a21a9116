"""Bounds of the exchange's clock: its lead over this host's, and the latest date it can have shown."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from brain.moment import Moment

_WINDOW_SEC = 60.0
#: The exchange's machines need not agree to the millisecond; it accepts requests dated up to so far ahead.
_MACHINES_APART_MS = 1000


class ExchangeLead:
    """What pushes and server time together say: the greater of two lower bounds.

    Nothing is told before it happened: so the exchange's clock is ahead by `T - arrival` of every push, or by
    more. The server time, less what its round trip leaves open, is the other bound. By either an exchange
    time is never put before its true moment on this host's clock, and after it by no more than the fastest
    push of the last minute took. The server time's upper bound limits both: a clock that was set back is not
    taken for ahead because of what it dated before.
    """

    def __init__(
        self,
        exchange_ms_at_least: Callable[[Moment], int | None],
        exchange_ms_at_most: Callable[[Moment], int | None],
    ) -> None:
        """Take the bounds of the exchange's clock (epoch ms) by its server time, None while unknown."""
        self._exchange_ms_at_least = exchange_ms_at_least
        self._exchange_ms_at_most = exchange_ms_at_most
        # By the monotonic clock, so that a step of this host's wall clock changes nothing.
        self._largest: deque[tuple[float, float]] = deque()

    def observe(self, exchange_ms: int, received: Moment) -> None:
        """Something that happened at `exchange_ms` was told at `received`."""
        lead_ms = exchange_ms - received.monotonic_sec * 1000
        while self._largest and self._largest[-1][1] <= lead_ms:
            self._largest.pop()
        self._largest.append((received.monotonic_sec, lead_ms))

    def latest_date_ms(self, at: Moment) -> int | None:
        """The latest date (epoch ms, the exchange's clock) that anything can have had by `at`; None: unknown.

        A later one orders nothing (rule 10 of `brain.positions.merging`).
        """
        at_most_ms = self._exchange_ms_at_most(at)
        return None if at_most_ms is None else at_most_ms + _MACHINES_APART_MS

    def at_least_ms(self, now: Moment) -> int | None:
        """Milliseconds that this host's wall clock is behind the exchange's, or more; None: not known."""
        while self._largest and now.monotonic_sec - self._largest[0][0] > _WINDOW_SEC:
            self._largest.popleft()
        server_ms = self._exchange_ms_at_least(now)
        bounds_ms = [] if server_ms is None else [server_ms]
        if self._largest:
            bounds_ms.append(math.floor(self._largest[0][1] + now.monotonic_sec * 1000))
        if not bounds_ms:
            return None
        bound_ms, latest_ms = max(bounds_ms), self.latest_date_ms(now)
        return (bound_ms if latest_ms is None else min(bound_ms, latest_ms)) - now.wall_ms
