"""Request weight per minute, with the 429 and the ban beyond the limit.

Source: USDⓈ-M Futures, "General Info", "IP Limits": 2400 a minute, 429 beyond it, and 418 with a ban that
grows each time requests go on after a 429.
"""

from __future__ import annotations

from typing import NoReturn

from simulator import errors

LIMIT_PER_MINUTE = 2400
_MINUTE_MS = 60_000
_REFUSALS_BEFORE_BAN = 10
_FIRST_BAN_MS = 120_000
_LONGEST_BAN_MS = 3 * 24 * 3600 * 1000


class RequestWeights:
    """Counts weight in windows of a clock minute. Times are this host's wall clock, epoch milliseconds.

    ``overrides`` gives a path another weight than its page says, from the next request on. More than ten
    requests sent into a 429's minute, or into a ban, start a ban from then on that is twice as long as the
    one before (two minutes to three days).
    """

    def __init__(self, *, limit_per_minute: int = LIMIT_PER_MINUTE) -> None:
        self.limit_per_minute = limit_per_minute
        self.overrides: dict[str, int] = {}
        self.banned_until_ms = 0
        self._window = 0
        self._used = 0
        self._refusals = 0
        self._next_ban_ms = _FIRST_BAN_MS

    def used(self, now_ms: int) -> int:
        """Return the weight spent in the current minute."""
        self._turn_window(now_ms)
        return self._used

    def set_used(self, now_ms: int, weight: int) -> None:
        """Set the weight that this address has used, others' included: the next answer reports it."""
        self._turn_window(now_ms)
        self._used = weight

    def charge(self, now_ms: int, weight: int) -> None:
        """Count a request; ``ApiError`` 429 beyond the limit, 418 while banned (uncounted)."""
        if self.is_banned(now_ms):
            self.refuse(now_ms)
        self._turn_window(now_ms)
        self._used += weight
        if self._used > self.limit_per_minute:
            self.refuse(now_ms)

    def refuse(self, now_ms: int) -> NoReturn:
        """Raise ``ApiError`` 429, or 418 where the address keeps sending."""
        self._turn_window(now_ms)
        self._count_refusal(now_ms)
        if self.is_banned(now_ms):
            raise errors.banned(str(self.banned_until_ms))
        raise errors.too_many_requests(self.limit_per_minute)

    def is_banned(self, now_ms: int) -> bool:
        return now_ms < self.banned_until_ms

    def ban_longer(self, now_ms: int) -> None:
        """Ban the address for twice as long as the last time."""
        self.ban(now_ms, max(self._next_ban_ms, self.banned_until_ms - now_ms))
        self._next_ban_ms = min(2 * self._next_ban_ms, _LONGEST_BAN_MS)

    def ban(self, now_ms: int, duration_ms: int) -> None:
        self.banned_until_ms = now_ms + duration_ms
        self._refusals = 0

    def lift_ban(self) -> None:
        self.banned_until_ms = 0

    def retry_after_sec(self, now_ms: int) -> int:
        """Whole seconds until a request may succeed again: the end of the ban, else of the minute."""
        until_ms = self.banned_until_ms if now_ms < self.banned_until_ms else (self._window + 1) * _MINUTE_MS
        return max(1, -(-(until_ms - now_ms) // 1000))

    def _count_refusal(self, now_ms: int) -> None:
        self._refusals += 1
        if self._refusals > _REFUSALS_BEFORE_BAN:
            self.ban_longer(now_ms)

    def _turn_window(self, now_ms: int) -> None:
        window = now_ms // _MINUTE_MS
        if window != self._window:
            self._window = window
            self._used = 0
            self._refusals = 0
