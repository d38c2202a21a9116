"""Limits on the number of orders, in 10 s and in a minute.

Binance counts the orders of an account (`X-MBX-ORDER-COUNT-10S`, `-1M`: 300 and 1200, by `exchangeInfo`) in
intervals of its clock, and answers -1015 beyond. Source: USDⓈ-M Futures, "General Info", Order Rate Limits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from brain.moment import Moment
from clock import Clock
from exchange.wire import header_count

#: Header and documented limit of each interval (seconds).
_HEADERS = {10: "X-MBX-ORDER-COUNT-10S", 60: "X-MBX-ORDER-COUNT-1M"}
_ACCOUNT_LIMITS = {10: 300, 60: 1200}
_NAMES = {10: "10s", 60: "1m"}
#: One part of so many is kept for closes.
_PARTS = 5
#: Shortest wait (seconds), whatever the rounding.
_LEAST_SEC = 0.001


class OrderCounts:
    """Orders of this service and of the whole account, against the limits of both.

    Our share bounds our own orders of any 10 s and any 60 s; the exchange's limit bounds the account's in the
    interval of the exchange's clock: by its latest answer, plus what was reserved since. Opens may use four
    fifths of a limit; the last fifth is for closes.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        per_10s: int,
        per_min: int,
        exchange_ms: Callable[[Moment], int] = lambda at: at.wall_ms,
    ) -> None:
        """Take our share of the limits in 10 s and in a minute."""
        self._clock = clock
        self._exchange_ms = exchange_ms
        self._windows = [_Window(10, per_10s), _Window(60, per_min)]

    def reserve(self, *, closing: bool) -> Moment | None:
        """Count an order that is sent right after; None: it may be.

        Else the moment before which no such order may be sent, and nothing is counted.
        """
        now = self._clock.now()
        exchange_ms = self._exchange_ms(now)
        waits_sec = [window.wait_sec(now, exchange_ms, closing=closing) for window in self._windows]
        longest_sec = max(waits_sec)
        if longest_sec > 0:
            return now.earlier_by(-longest_sec)
        for window in self._windows:
            window.count(now)
        return None

    def give_back(self) -> None:
        """Take an order out of our share that was reserved and is not sent.

        The account's count stays: an answer of the exchange may have replaced it since.
        """
        for window in self._windows:
            window.give_back()

    def learn(self, limits: Mapping[int, int]) -> None:
        """Record the account's limits by interval (seconds), as `exchangeInfo` lists them."""
        for window in self._windows:
            window.account_limit = limits.get(window.sec, window.account_limit)

    def answered(self, sent: Moment, headers: Mapping[str, str]) -> None:
        """Record the account's counts in the answer to an order that was sent at `sent`."""
        now = self._clock.now()
        for window in self._windows:
            count = header_count(headers.get(_HEADERS[window.sec], ""))
            if count is not None:
                window.shown(count, self._exchange_ms(sent), self._exchange_ms(now))

    def refused(self) -> None:
        """Record that the exchange refused an order for too many (-1015): none before the next 10 s begin."""
        shortest, now_ms = self._windows[0], self._exchange_ms(self._clock.now())
        shortest.shown(shortest.account_limit, now_ms, now_ms)

    def used(self) -> dict[str, int]:
        """Return the account's orders in the present intervals `10s` and `1m`, as far as known."""
        exchange_ms = self._exchange_ms(self._clock.now())
        return {_NAMES[window.sec]: window.account(exchange_ms) for window in self._windows}


class _Window:
    def __init__(self, sec: int, share: int) -> None:
        self.sec = sec
        self.account_limit = _ACCOUNT_LIMITS[sec]
        self._share = share
        self._sent: deque[float] = deque()
        self._interval = 0
        self._account = 0

    def wait_sec(self, now: Moment, exchange_ms: int, *, closing: bool) -> float:
        """Return the seconds until one more order is within both limits; 0 or less: now."""
        while self._sent and self._sent[0] <= now.monotonic_sec - self.sec:
            self._sent.popleft()
        own, account = (
            limit if closing else limit - limit // _PARTS
            for limit in (min(self._share, self.account_limit), self.account_limit)
        )
        wait_sec = 0.0
        if len(self._sent) >= own:
            # Of a limit of 0 nothing is ever free.
            frees_sec = self._sent[len(self._sent) - own] + self.sec if own else now.monotonic_sec + self.sec
            wait_sec = max(frees_sec - now.monotonic_sec, _LEAST_SEC)
        if self.account(exchange_ms) >= account:
            wait_sec = max(wait_sec, self.sec - exchange_ms % (self.sec * 1000) / 1000)
        return wait_sec

    def count(self, now: Moment) -> None:
        self._sent.append(now.monotonic_sec)
        self._account += 1

    def give_back(self) -> None:
        if self._sent:
            self._sent.pop()

    def account(self, exchange_ms: int) -> int:
        """Return the account's orders of the present interval, as far as known."""
        interval = exchange_ms // (self.sec * 1000)
        if interval != self._interval:
            self._interval, self._account = interval, 0
        return self._account

    def shown(self, count: int, sent_ms: int, now_ms: int) -> None:
        """Record a count of the exchange's, unless a new interval began between request and answer."""
        # Never below the known count: an answer that arrives late has an older one.
        if sent_ms // (self.sec * 1000) == now_ms // (self.sec * 1000):
            self._account = max(self.account(now_ms), count)
