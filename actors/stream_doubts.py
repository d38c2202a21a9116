"""What reads showed and a trusted stream had not told: in flight, or lost?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from brain.merging import EVENT_IN_FLIGHT_SEC, Disagreement, SymbolState, explained
from clock import Clock


class StreamDoubts:
    """The disagreements of one shard that the stream has not explained yet."""

    def __init__(
        self,
        state_of: Callable[[str], SymbolState],
        diverged: Callable[[Disagreement], None],
        clock: Clock,
    ) -> None:
        """`diverged` is called for each that the stream has left unexplained for too long."""
        self._state_of = state_of
        self._diverged = diverged
        self._clock = clock
        self._waiting: list[Disagreement] = []
        self._raised = trio.lowlevel.ParkingLot()

    def raise_all(self, disagreements: Iterable[Disagreement]) -> None:
        """Wait for what explains these."""
        self._waiting.extend(disagreements)
        if self._waiting:
            self._raised.unpark_all()

    def drop(self) -> None:
        """What would have explained them was perhaps lost with the connection."""
        self._waiting.clear()

    async def judge(self) -> None:
        """What the stream has not told a second after a read showed it, it has lost. Until cancelled."""
        while True:
            if not self._waiting:
                await self._raised.park()
            now_sec = self._clock.now().monotonic_sec
            judged, self._waiting = self._waiting, []
            for each in judged:
                if explained(self._state_of(each.symbol), each):
                    continue
                if now_sec < each.received.monotonic_sec + EVENT_IN_FLIGHT_SEC:
                    self._waiting.append(each)
                else:
                    self._diverged(each)
            if self._waiting:
                first_sec = min(each.received.monotonic_sec for each in self._waiting)
                await trio.sleep_until(first_sec + EVENT_IN_FLIGHT_SEC)
