"""Request weight that evidence may use."""

from __future__ import annotations

from collections import deque

import trio

#: A minute, and a margin for requests that arrive at different speeds (seconds).
_WINDOW_SEC = 61.0


class TooHeavyError(Exception):
    """A request weighs more than may be used in a minute."""


class EvidenceWeight:
    """Weight of the requests of the last 60 s, never above `per_min`. Requests wait in their order."""

    def __init__(self, per_min: int) -> None:
        self.per_min = per_min
        self._spent: deque[tuple[float, int]] = deque()
        self._turn = trio.Lock()

    @property
    def used(self) -> int:
        """Return the weight used within the last 60 s."""
        now_sec = trio.current_time()
        while self._spent and now_sec - self._spent[0][0] >= _WINDOW_SEC:
            self._spent.popleft()
        return sum(weight for _, weight in self._spent)

    def has_room(self, weight: int) -> bool:
        """Return True if a request of this weight could be sent now, with no other waiting."""
        return not self._turn.locked() and self.used + weight <= self.per_min

    def room_at_sec(self, weight: int) -> float:
        """Return when there is room for `weight`, if nothing else is sent (trio's clock)."""
        excess, now_sec = self.used + weight - self.per_min, trio.current_time()
        for at_sec, spent in self._spent:
            if excess <= 0:
                break
            excess -= spent
            now_sec = at_sec + _WINDOW_SEC
        return now_sec

    async def spend(self, weight: int) -> None:
        """Wait until there is room for a request, and count it. Raises TooHeavyError."""
        if weight > self.per_min:
            raise TooHeavyError(f"a request of weight {weight} exceeds P34_WEIGHT_PER_MIN={self.per_min}")
        async with self._turn:
            await trio.sleep_until(self.room_at_sec(weight))
            self._spent.append((trio.current_time(), weight))
