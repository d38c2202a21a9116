"""Request weight that evidence may use."""

from __future__ import annotations

from collections import deque

import trio

#: A minute, and a margin for requests that arrive at different speeds (seconds).
_WINDOW_SEC = 61.0


class TooHeavyError(Exception):
    """A request weighs more than may be used in a minute."""


class EvidenceWeight:
    """Weight of the requests of the last 60 s, never above `per_min`. Requests wait in their order.

    Those of looks that can wait use half of it at most, and no other request waits for one of them.
    """

    def __init__(self, per_min: int) -> None:
        self.per_min = per_min
        #: When (trio's clock), how much, and whether it could wait.
        self._spent: deque[tuple[float, int, bool]] = deque()
        self._turns = {False: trio.Lock(), True: trio.Lock()}

    @property
    def used(self) -> int:
        """Return the weight used within the last 60 s."""
        return self._used(waiting_alone=False)

    def has_room(self, weight: int, *, can_wait: bool) -> bool:
        """Return True if a request of this weight could be sent now, with none waiting before it."""
        waits = self._turns[False].locked() or (can_wait and self._turns[True].locked())
        return not waits and self._fits(weight, can_wait=can_wait)

    async def spend(self, weight: int, *, can_wait: bool) -> None:
        """Wait until there is room for a request, and count it. Raises TooHeavyError."""
        if weight > self.per_min:
            raise TooHeavyError(f"a request of weight {weight} exceeds P34_WEIGHT_PER_MIN={self.per_min}")
        async with self._turns[can_wait]:
            while not self._fits(weight, can_wait=can_wait):  # noqa: ASYNC110 - time makes room
                await trio.sleep_until(self._spent[0][0] + _WINDOW_SEC)
            self._spent.append((trio.current_time(), weight, can_wait))

    def _fits(self, weight: int, *, can_wait: bool) -> bool:
        """Return True if there is room; a request that is heavier than half goes alone if it can wait."""
        if self._used(waiting_alone=False) + weight > self.per_min:
            return False
        most = max(self.per_min // 2, weight)
        return not can_wait or self._used(waiting_alone=True) + weight <= most

    def _used(self, *, waiting_alone: bool) -> int:
        now_sec = trio.current_time()
        while self._spent and self._spent[0][0] + _WINDOW_SEC <= now_sec:
            self._spent.popleft()
        return sum(weight for _, weight, can_wait in self._spent if can_wait or not waiting_alone)
