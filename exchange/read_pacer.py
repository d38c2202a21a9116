"""Pacing of reads symbol by symbol, oldest read first, so that the request weight lasts for each minute."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import msgspec
import trio

#: Weight of a read of one symbol, and of all other periodic requests in a minute (position mode 30, volumes
#: 40, symbols, time and listen key a few).
WEIGHT_PER_READ = 5
_OTHER_WEIGHT = 80
_OTHER_SHARE = 0.25
_NEGLIGIBLE_SEC = 1e-6
#: Least number of paced reads between two reads outside the pace.
_READS_PER_SPARE = 15


class ReadPace(msgspec.Struct, frozen=True):
    """Burst (reads at once after a pause) and steady rate (reads a second)."""

    burst: int
    per_sec: float

    @property
    def weight_per_min(self) -> int:
        """Request weight a minute of the steady rate."""
        return math.floor(self.per_sec * 60 * WEIGHT_PER_READ)


def pace_within(weight_per_min: float, stale_threshold_sec: float) -> ReadPace:
    """Return the pace at which no 60 s use more than `weight_per_min`, a burst included.

    The burst equals the number of symbols that the steady rate reads within `stale_threshold_sec`: all of
    them can be read at once after a start, and each in time from then on.
    """
    reads = max(0.0, weight_per_min - min(_OTHER_WEIGHT, weight_per_min * _OTHER_SHARE)) / WEIGHT_PER_READ
    burst = math.floor(reads * stale_threshold_sec / (60 + stale_threshold_sec))
    return ReadPace(max(1, burst), max(1.0, reads - burst) / 60)


class ReadPacer:
    """Queue for paced reads: the symbol that was read longest ago goes first.

    While there are no more symbols than the steady rate reads within a time, none waits longer than that
    time, even if all become due at once.
    """

    def __init__(self, pace: ReadPace, weight_per_read: Callable[[], int] = lambda: WEIGHT_PER_READ) -> None:
        """Take `weight_per_read`, the measured weight of a read; a heavier read makes turns fewer."""
        self._pace = pace
        self._weight_per_read = weight_per_read
        self._saved = float(pace.burst)
        self._saved_at_sec: float | None = None
        self._waiting: list[tuple[float, int, trio.lowlevel.ParkingLot]] = []
        self._spare = trio.Lock()
        self._arrivals = 0

    async def turn(self, read_last_sec: float) -> None:
        """Wait for a turn; `read_last_sec`: when the symbol was read last (trio's clock; never: -inf)."""
        self._arrivals += 1
        place = (read_last_sec, self._arrivals, trio.lowlevel.ParkingLot())
        heapq.heappush(self._waiting, place)
        try:
            while True:
                if self._waiting[0] is not place:
                    await place[2].park()
                elif (pause_sec := self._until_next_sec()) > 0:
                    # A more urgent caller may come during the sleep: the first in the queue takes the turn.
                    await trio.sleep(pause_sec)
                else:
                    self._saved -= 1
                    return
        finally:
            self._waiting.remove(place)
            heapq.heapify(self._waiting)
            if self._waiting:
                self._waiting[0][2].unpark()

    async def spare_turn(self) -> bool:
        """Wait for a spare turn: half of the burst is saved and no symbol waits.

        Returns False if there was none in the time of 15 reads: one may be sent outside the pace.
        """
        async with self._spare:
            with trio.move_on_after(_READS_PER_SPARE / self._per_sec):
                while True:
                    await trio.sleep(1 / self._per_sec)
                    self._save()
                    if not self._waiting and self._saved >= max(1.0, self._burst / 2):
                        self._saved -= 1
                        return True
        return False

    @property
    def _per_sec(self) -> float:
        return self._pace.per_sec * WEIGHT_PER_READ / max(WEIGHT_PER_READ, self._weight_per_read())

    @property
    def _burst(self) -> float:
        return max(1.0, self._pace.burst * WEIGHT_PER_READ / max(WEIGHT_PER_READ, self._weight_per_read()))

    def _save(self) -> None:
        now_sec = trio.current_time()
        if self._saved_at_sec is not None:
            gained = (now_sec - self._saved_at_sec) * self._per_sec
            self._saved = min(self._burst, self._saved + gained)
        self._saved_at_sec = now_sec

    def _until_next_sec(self) -> float:
        self._save()
        pause_sec = (1.0 - self._saved) / self._per_sec
        # A clock may be too coarse to pass a rounding error.
        return pause_sec if pause_sec > _NEGLIGIBLE_SEC else 0.0
