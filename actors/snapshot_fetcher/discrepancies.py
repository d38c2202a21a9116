"""What reads showed and a trusted stream had not told: in flight, or lost?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from brain.positions.merging import EVENT_IN_FLIGHT_SEC, Disagreement, SymbolState, explained
from clock import Clock

#: However late pushes are, an event that is still missing then is lost (seconds).
_LONGEST_IN_FLIGHT_SEC = 5.0


class StreamDoubts:
    """The disagreements of one shard that the stream has not explained yet."""

    def __init__(
        self,
        state_of: Callable[[str], SymbolState],
        diverged: Callable[[Disagreement], None],
        push_delay_sec: Callable[[], float],
        clock: Clock,
    ) -> None:
        """`diverged` is called for each that the stream has left unexplained for too long: for a second, or
        for the push delay of late (`push_delay_sec`), but 5 s at most."""
        self._state_of = state_of
        self._diverged = diverged
        self._push_delay_sec = push_delay_sec
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
                if now_sec < each.received.monotonic_sec + self._in_flight_sec:
                    self._waiting.append(each)
                else:
                    self._diverged(each)
            if self._waiting:
                first_sec = min(each.received.monotonic_sec for each in self._waiting)
                await trio.sleep_until(first_sec + self._in_flight_sec)

    @property
    def _in_flight_sec(self) -> float:
        """Longest time that an event may be on its way (seconds): a busy exchange pushes later."""
        return max(EVENT_IN_FLIGHT_SEC, min(self._push_delay_sec(), _LONGEST_IN_FLIGHT_SEC))
