"""Suppression of repeated warnings: each is written once per interval, with its count."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Event = Mapping[str, Any]

INTERVAL_SEC = 30.0
_LIMITED = frozenset({"warning", "error"})
_MOST_RUNS = 1000
#: Entry ids, times, amounts, addresses: what differs between occurrences of the same thing.
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.:-]*(?:ms|s|%)?(?!\w)")


class _Run(msgspec.Struct):
    """One warning, since its line was last written."""

    level: str
    began_sec: float
    latest: Event = {}
    repeated: int = 0


class Repetitions:
    """Lets the first of the same warnings or errors through; then one in an interval, with their number.

    The same are those of one level with one message and one set of values, numbers aside. All other levels
    pass untouched: decisions are logged line by line. An interval that is over is noticed with the next line,
    whichever that is.
    """

    def __init__(self, now_sec: Callable[[], float]) -> None:
        """`now_sec` is a monotonic clock."""
        self._now_sec = now_sec
        #: The interval that is over first comes first.
        self._runs: dict[str, _Run] = {}

    def admit(self, level: str, event: Event) -> list[tuple[str, Event]]:
        """Return the events to write now: counts that are due, and `event` unless it is a repetition."""
        now_sec = self._now_sec()
        due = self._due(now_sec)
        if level not in _LIMITED:
            return [*due, (level, event)]
        key = _sameness(level, event)
        run = self._runs.get(key)
        if run is None:
            self._runs[key] = _Run(level, now_sec)
            return [*due, (level, event)]
        run.repeated += 1
        run.latest = event
        return due

    def rest(self) -> list[tuple[str, Event]]:
        """Return the counts that are not due yet; for the end of the process."""
        runs = [run for run in self._runs.values() if run.repeated]
        self._runs.clear()
        return [_count(run, self._now_sec()) for run in runs]

    def _due(self, now_sec: float) -> list[tuple[str, Event]]:
        due: list[tuple[str, Event]] = []
        while self._runs:
            key, run = next(iter(self._runs.items()))
            is_over = now_sec - run.began_sec >= INTERVAL_SEC
            if not is_over and len(self._runs) < _MOST_RUNS:
                break
            del self._runs[key]
            if run.repeated:
                due.append(_count(run, now_sec))
                if is_over:
                    # It goes on: what follows is counted, too.
                    self._runs[key] = _Run(run.level, now_sec)
        return due


def _count(run: _Run, now_sec: float) -> tuple[str, Event]:
    """Return the latest of a run, with the number of those that were not written; its traceback was."""
    latest = {name: value for name, value in run.latest.items() if name != "exception"}
    return run.level, latest | {"repeated": run.repeated, "within_sec": round(now_sec - run.began_sec, 1)}


def _sameness(level: str, event: Event) -> str:
    values = " ".join(f"{name}={value}" for name, value in event.items() if name != "exception")
    return f"{level} {_NUMBER.sub('#', values)}"
