"""Load of this machine while the demo runs, and patience that is stretched by it.

Late timers show freezes. The kernel's counters show processes that are ready and have to wait.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

_TICK_SEC = 0.2
_WINDOW_SEC = 5.0
_TOO_BUSY = 2.0
_LONGEST_STRETCH = 5.0


class NotInTimeError(Exception):
    """The daemon did not do it in time; the message names it."""


class Load(msgspec.Struct, frozen=True):
    """Load of the last 5 s; of a calm machine without arguments.

    `late_sec`: how late a timer fired at worst. `waiting`: share of the time in which a process waited for a
    processor. `stolen`: share of the processors' work that the host of a virtual machine took away.
    """

    late_sec: float = 0.0
    waiting: float = 0.0
    stolen: float = 0.0

    def __str__(self) -> str:
        return (
            f"timers fired up to {self.late_sec:.2f} s late, processes waited for a processor "
            f"{self.waiting:.0%} of the time, {self.stolen:.0%} of the processors' time was stolen"
        )

    @property
    def slowdown(self) -> float:
        """Factor by which something may take longer than on a calm machine, from 1 to 5."""
        share = max(self.waiting, self.stolen)
        stretch = max(1 + self.late_sec / _TICK_SEC, 1 / max(1 - share, 1 / _LONGEST_STRETCH))
        return min(stretch, _LONGEST_STRETCH)

    @property
    def is_too_busy(self) -> bool:
        """True when what depends on time cannot be judged: everything takes twice as long."""
        return self.slowdown >= _TOO_BUSY

    def worst(self, other: Load) -> Load:
        """Return the greater of each number."""
        return Load(
            max(self.late_sec, other.late_sec),
            max(self.waiting, other.waiting),
            max(self.stolen, other.stolen),
        )


class Counters(NamedTuple):
    """The kernel's counters at a moment; differences of two count, and `crowd` by itself.

    `waiting_sec`: total time in which a process waited for a processor, None where the kernel does not count
    it. `stolen` and `busy`: processor time in ticks, `busy` including `stolen`. `crowd`: processes that are
    running or ready, of the last minute, for each processor.
    """

    waiting_sec: float | None = None
    stolen: int = 0
    busy: int = 0
    crowd: float = 0.0


class _Sample(NamedTuple):
    at_sec: float
    late_sec: float
    counters: Counters


class LoadMeter:
    """Measurement of the load, five times a second while `run` runs."""

    def __init__(self, read: Callable[[], Counters] | None = None) -> None:
        self._read = read or read_counters
        self._samples: deque[_Sample] = deque()
        self._due_sec = float("inf")

    async def run(self) -> None:
        """Measure until cancelled."""
        self._add(0.0)
        while True:
            self._due_sec = trio.current_time() + _TICK_SEC
            await trio.sleep_until(self._due_sec)
            self._add(trio.current_time() - self._due_sec)

    @property
    def now(self) -> Load:
        """The load of the last 5 s. A timer that is due and has not fired yet counts as late."""
        if not self._samples:
            return Load()
        overdue_sec = max(0.0, trio.current_time() - self._due_sec)
        late_sec = max(overdue_sec, *(sample.late_sec for sample in self._samples))
        first, last = self._samples[0], self._samples[-1]
        return Load(late_sec, _waiting(first, last), _stolen(first.counters, last.counters))

    def stretched(self, calm_sec: float) -> float:
        """Return how long may now take what takes `calm_sec` on a calm machine."""
        return calm_sec * self.now.slowdown

    def _add(self, late_sec: float) -> None:
        now_sec = trio.current_time()
        while self._samples and self._samples[0].at_sec < now_sec - _WINDOW_SEC:
            self._samples.popleft()
        self._samples.append(_Sample(now_sec, late_sec, self._read()))


class Patience:
    """Time limit in seconds of a calm machine: on a busy one they pass more slowly."""

    def __init__(self, calm_sec: float, meter: LoadMeter) -> None:
        self._left_sec = calm_sec
        self._meter = meter
        self._looked_sec = trio.current_time()

    @property
    def is_over(self) -> bool:
        """True when the time has passed."""
        now_sec = trio.current_time()
        self._left_sec -= (now_sec - self._looked_sec) / self._meter.now.slowdown
        self._looked_sec = now_sec
        return self._left_sec <= 0


def _waiting(first: _Sample, last: _Sample) -> float:
    """Return the share of the time with waiting processes, estimated where the kernel does not count it."""
    begin_sec, end_sec = first.counters.waiting_sec, last.counters.waiting_sec
    if begin_sec is None or end_sec is None:
        return 1 - 1 / max(1.0, last.counters.crowd)
    passed_sec = last.at_sec - first.at_sec
    return min(1.0, (end_sec - begin_sec) / passed_sec) if passed_sec > 0 else 0.0


def _stolen(first: Counters, last: Counters) -> float:
    busy = last.busy - first.busy
    return (last.stolen - first.stolen) / busy if busy > 0 else 0.0


def read_counters(proc: Path = Path("/proc")) -> Counters:
    """Read the kernel's counters; those that it does not have stay at their defaults."""
    crowd = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Counters(_read_waiting_sec(proc / "pressure" / "cpu"), *_read_ticks(proc / "stat"), crowd)


def _read_waiting_sec(path: Path) -> float | None:
    """Return the total of the line `some avg10=… avg60=… avg300=… total=<microseconds>`."""
    try:
        some, _, _ = path.read_text().partition("\n")
    except OSError:
        return None
    return int(some.rpartition("total=")[2]) / 1e6


def _read_ticks(path: Path) -> tuple[int, int]:
    """Return stolen and busy ticks of `cpu  user nice system idle iowait irq softirq steal …`."""
    try:
        line, _, _ = path.read_text().partition("\n")
    except OSError:
        return 0, 0
    user, nice, system, _, _, irq, softirq, steal = (int(text) for text in line.split()[1:9])
    return steal, user + nice + system + irq + softirq + steal
