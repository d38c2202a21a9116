"""Bounds of the exchange's clock: its least lead over this host's, and the latest date it can show."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from brain.moment import Moment

_WINDOW_SEC = 60.0
#: Tolerance for clocks of the exchange's machines (ms); it accepts requests dated up to so far ahead.
_MACHINES_APART_MS = 1000


class ClockOffset:
    """Lower bound of the exchange clock's offset: the larger of two estimates.

    A push arrives after its event: the exchange's clock is ahead by `T - arrival` of each push, or by more.
    The other estimate is the server time, less the uncertainty of its round trip. With either, an exchange
    time is never dated before its true moment on this host's clock, and later by at most the delay of the
    last minute's fastest push. A lead by more than a second beyond the server time's upper bound does not
    count: the event was dated ahead, or before a clock was set back. Less is limited by that bound.
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
        """Record a push, received then, of an event dated `exchange_ms`."""
        lead_ms = exchange_ms - received.monotonic_sec * 1000
        while self._largest and self._largest[-1][1] <= lead_ms:
            self._largest.pop()
        self._largest.append((received.monotonic_sec, lead_ms))

    def latest_date_ms(self, at: Moment) -> int | None:
        """Return the latest date (epoch ms, the exchange's clock) that an event can have by `at`.

        None: unknown. A later date orders nothing (rule 10 of `brain.positions.merging`).
        """
        at_most_ms = self._exchange_ms_at_most(at)
        return None if at_most_ms is None else at_most_ms + _MACHINES_APART_MS

    def at_least_ms(self, now: Moment) -> int | None:
        """Return the least lead of the exchange's clock over this host's wall clock (ms); None: unknown."""
        now_ms, most_ms = now.monotonic_sec * 1000, self._exchange_ms_at_most(now)
        latest_ms = math.inf if most_ms is None else most_ms + _MACHINES_APART_MS - now_ms
        while self._largest and (
            now.monotonic_sec - self._largest[0][0] > _WINDOW_SEC or self._largest[0][1] > latest_ms
        ):
            self._largest.popleft()
        server_ms = self._exchange_ms_at_least(now)
        bounds_ms = [] if server_ms is None else [server_ms]
        if self._largest:
            bounds_ms.append(math.floor(self._largest[0][1] + now_ms))
        if not bounds_ms:
            return None
        bound_ms = max(bounds_ms)
        return (bound_ms if most_ms is None else min(bound_ms, most_ms)) - now.wall_ms
