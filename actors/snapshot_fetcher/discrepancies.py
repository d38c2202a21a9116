"""Discrepancies between reads and a trusted stream, until a push explains them or trust is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from brain.positions.merging import EVENT_IN_FLIGHT_SEC, explained
from brain.positions.symbol_state import Discrepancy, SymbolState
from clock import Clock

#: However late pushes are, an event that is still missing then is lost (seconds).
_LONGEST_IN_FLIGHT_SEC = 5.0


class PendingDiscrepancies:
    """Discrepancies of one shard that no push has explained yet (rule 15 of `read_schedule`)."""

    def __init__(
        self,
        state_of: Callable[[str], SymbolState],
        diverged: Callable[[Discrepancy], None],
        push_delay_sec: Callable[[], float],
        clock: Clock,
    ) -> None:
        """`diverged` is called for each that is unexplained for too long: for 1 s, or for the current push
        delay (`push_delay_sec`), but 5 s at most."""
        self._state_of = state_of
        self._diverged = diverged
        self._push_delay_sec = push_delay_sec
        self._clock = clock
        self._waiting: list[Discrepancy] = []
        self._added = trio.lowlevel.ParkingLot()

    def add_all(self, discrepancies: Iterable[Discrepancy]) -> None:
        """Add discrepancies, and wait for pushes that explain them."""
        self._waiting.extend(discrepancies)
        if self._waiting:
            self._added.unpark_all()

    def drop(self) -> None:
        """Drop all: the pushes that explain them may have been lost with the connection."""
        self._waiting.clear()

    async def judge(self) -> None:
        """Call `diverged` for each discrepancy whose push is lost. Until cancelled."""
        while True:
            if not self._waiting:
                await self._added.park()
            now_sec = self._clock.now().monotonic_sec
            judged, self._waiting = self._waiting, []
            for each in judged:
                if explained(self._state_of(each.symbol), each):
                    continue
                if now_sec < each.received.monotonic_sec + self._in_flight_sec:
                    self._waiting.append(each)
                else:
                    self._diverged(each)
            if self._waiting:
                first_sec = min(each.received.monotonic_sec for each in self._waiting)
                await trio.sleep_until(first_sec + self._in_flight_sec)

    @property
    def _in_flight_sec(self) -> float:
        """Return the longest time that a push may be in flight (seconds): a busy exchange pushes later."""
        return max(EVENT_IN_FLIGHT_SEC, min(self._push_delay_sec(), _LONGEST_IN_FLIGHT_SEC))
