"""Delay from a transaction to its push, estimated from recent pushes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from brain.moment import Moment

_STRETCH_SEC = 60.0
_REMEMBERED_STRETCHES = 10
#: Longest credible delay: beyond it, a clock was set or the event is dated wrongly.
_LONGEST_SEC = 60.0
#: Change of the exchange's clock (ms) that means it was set: estimates of it never change as much.
_SET_MS = 1000


class _Push(msgspec.Struct, frozen=True):
    transaction_ms: int
    received: Moment


class PushDelay:
    """Longest push delay of the last ten minutes, and never less than the floor.

    The gateway answers pings, so events that the matching engine had not passed to it may still be on their
    way: an answered ping proves the state of this much earlier. Delays are computed again at each call, so
    that a wrong estimate of the exchange's clock leaves none behind.
    """

    def __init__(self, exchange_ms: Callable[[Moment], int], floor_sec: float = 0.25) -> None:
        """Take `exchange_ms`, the present estimate of the exchange's clock at a moment."""
        self._exchange_ms = exchange_ms
        self._floor_sec = floor_sec
        self._slowest: deque[tuple[float, _Push]] = deque()
        self._offset_ms: float | None = None

    def observe(self, transaction_ms: int, received: Moment) -> float:
        """Record an event of transaction time `T`; return its delay (seconds; negative if clocks differ)."""
        self._forget_what_another_clock_dated(received)
        push = _Push(transaction_ms, received)
        if self._delay_sec(push) > _LONGEST_SEC:
            return self._delay_sec(push)
        stretch = received.monotonic_sec // _STRETCH_SEC
        if self._slowest and self._slowest[-1][0] == stretch:
            push = max(push, self._slowest.pop()[1], key=self._delay_sec)
        self._slowest.append((stretch, push))
        return self._delay_sec(_Push(transaction_ms, received))

    def allowance_sec(self, at: Moment) -> float:
        """Return the seconds to deduct from the sending of an answered ping."""
        self._forget_what_another_clock_dated(at)
        oldest = at.monotonic_sec // _STRETCH_SEC - _REMEMBERED_STRETCHES
        while self._slowest and self._slowest[0][0] <= oldest:
            self._slowest.popleft()
        longest_sec = max((self._delay_sec(push) for _stretch, push in self._slowest), default=0.0)
        return max(self._floor_sec, min(longest_sec, _LONGEST_SEC))

    def _forget_what_another_clock_dated(self, at: Moment) -> None:
        """Drop all delays when the exchange's clock was set: earlier dates do not fit the new clock."""
        offset_ms = self._exchange_ms(at) - at.monotonic_sec * 1000
        if self._offset_ms is not None and abs(offset_ms - self._offset_ms) > _SET_MS:
            self._slowest.clear()
        self._offset_ms = offset_ms

    def _delay_sec(self, push: _Push) -> float:
        return (self._exchange_ms(push.received) - push.transaction_ms) / 1000
