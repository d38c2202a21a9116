"""How long the exchange takes from a transaction to its push, judged by recent pushes."""

from __future__ import annotations

from collections import deque

from brain.moment import Moment

_STRETCH_SEC = 60.0
_REMEMBERED_STRETCHES = 10
#: More is no delay but a time that means something else; and this much makes every snapshot stale anyway.
_LONGEST_SEC = 60.0


class PushDelay:
    """The longest push delay of the last ten minutes, and never less than the floor.

    A ping is answered by the gateway, so events that the exchange had not handed to it yet may still be on
    their way: what an answered ping proves reaches back by this much.
    """

    def __init__(self, floor_sec: float = 0.25) -> None:
        self._floor_sec = floor_sec
        self._longest: deque[tuple[float, float]] = deque()

    def observe(self, delay_sec: float, at: Moment) -> None:
        """An event came `delay_sec` after its transaction time (negative where the clocks disagree)."""
        stretch = at.monotonic_sec // _STRETCH_SEC
        delay_sec = min(delay_sec, _LONGEST_SEC)
        if self._longest and self._longest[-1][0] == stretch:
            delay_sec = max(delay_sec, self._longest.pop()[1])
        self._longest.append((stretch, delay_sec))

    def allowance_sec(self, at: Moment) -> float:
        """What to deduct from the moment at which an answered ping was sent."""
        oldest = at.monotonic_sec // _STRETCH_SEC - _REMEMBERED_STRETCHES
        while self._longest and self._longest[0][0] <= oldest:
            self._longest.popleft()
        return max(self._floor_sec, *(delay_sec for _stretch, delay_sec in self._longest), 0.0)
