"""Orders that the account sent within ten seconds and within a minute, with the refusal beyond the limit.

Source: USDⓈ-M Futures, "General Info", "Order Rate Limits": counted per account, shown as
``X-MBX-ORDER-COUNT-10S`` and ``-1M``; -1015 beyond.
"""

from __future__ import annotations

from simulator import errors

ORDERS_PER_10_SEC, ORDERS_PER_MINUTE = 300, 1200
_TEN_SEC_MS, _MINUTE_MS = 10_000, 60_000


class OrderCounts:
    """Counts of the current windows of the clock. Times are this host's wall clock, epoch milliseconds.

    The limits, and what was used (by another process of the account), may be changed at any time.
    """

    def __init__(self) -> None:
        self.per_10_sec = ORDERS_PER_10_SEC
        self.per_minute = ORDERS_PER_MINUTE
        self._windows: dict[int, tuple[int, int]] = {}

    def charge(self, now_ms: int) -> None:
        """Count an order request; ``ApiError`` -1015, uncounted, beyond a limit."""
        if self.used(_TEN_SEC_MS, now_ms) >= self.per_10_sec:
            raise errors.too_many_orders(self.per_10_sec, "TEN_SECONDS")
        if self.used(_MINUTE_MS, now_ms) >= self.per_minute:
            raise errors.too_many_orders(self.per_minute, "MINUTE")
        for window_ms in (_TEN_SEC_MS, _MINUTE_MS):
            self._set(window_ms, now_ms, self.used(window_ms, now_ms) + 1)

    def set_used(self, now_ms: int, *, in_10_sec: int | None = None, in_minute: int | None = None) -> None:
        """Set the counts of the current windows, other processes' orders included."""
        for window_ms, used in ((_TEN_SEC_MS, in_10_sec), (_MINUTE_MS, in_minute)):
            if used is not None:
                self._set(window_ms, now_ms, used)

    def headers(self, now_ms: int) -> dict[str, str]:
        """Build the headers of an answer to an order."""
        return {
            "X-MBX-ORDER-COUNT-10S": str(self.used(_TEN_SEC_MS, now_ms)),
            "X-MBX-ORDER-COUNT-1M": str(self.used(_MINUTE_MS, now_ms)),
        }

    def used(self, window_ms: int, now_ms: int) -> int:
        """Return the orders sent in the current window of that length (10 000 or 60 000 ms)."""
        window, used = self._windows.get(window_ms, (0, 0))
        return used if window == now_ms // window_ms else 0

    def _set(self, window_ms: int, now_ms: int, used: int) -> None:
        self._windows[window_ms] = now_ms // window_ms, used
