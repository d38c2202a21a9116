"""Windows over the results of the last hour, rebuilt from the buckets in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import trio

from actors.decision_intelligence.reports import IntelligenceReports
from brain.identifiers import FencingToken
from brain.intelligence.windows import (
    SHOWN_WINDOW,
    WINDOWS,
    Counts,
    minutes_until,
    read_bucket,
    window_of,
)
from clocks.clocks import Clocks
from store.intelligence_protocol import IntelligenceStore
from store.intelligence_records import WindowWrite
from supervision import Heartbeat

#: After so long buckets that did not change are read again, since others may delete or evict them.
_READ_AGAIN_SEC = 60.0
#: A bucket has 2,400 fields at most: a read of many keeps other tasks from running.
_READ_TOGETHER = 4


class ResultWindows:
    """Rebuilds all windows every `refresh_sec`. A bucket is read again when results were counted in it."""

    def __init__(
        self,
        store: IntelligenceStore,
        reports: IntelligenceReports,
        *,
        refresh_sec: float,
        status: Mapping[str, str],
        clocks: Clocks,
    ) -> None:
        """`status`: fields of `p35:status` that stay the same."""
        self._store = store
        self._reports = reports
        self._refresh_sec = refresh_sec
        self._status = status
        self._clocks = clocks
        self._minutes: dict[str, Counts] = {}
        #: Minutes in which results were counted since the present read began.
        self._changed: set[str] = set()
        self._due_sec = self._read_again_sec = trio.current_time()

    def forget(self) -> None:
        """Forget all buckets: Redis may be another run, or have written a count without an answer."""
        self._minutes.clear()

    def changed(self, minutes: Iterable[str]) -> None:
        """Note that results were counted in minutes."""
        for minute in minutes:
            self._minutes.pop(minute, None)
            self._changed.add(minute)

    async def rebuild_when_due(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Rebuild the windows in Redis, if it is time to."""
        now_sec = trio.current_time()
        if now_sec < self._due_sec:
            return
        self._due_sec = now_sec + self._refresh_sec
        if now_sec >= self._read_again_sec:
            self._read_again_sec = now_sec + _READ_AGAIN_SEC
            self.forget()
        now_ms = self._clocks.redis_now_ms()
        minutes = await self._read(minutes_until(now_ms), heartbeat)
        windows = {name: window_of(minutes[:count]) for name, count in WINDOWS.items()}
        pending = await self._store.write_windows(
            fence,
            [_write(name, counts) for name, counts in windows.items()],
            unknown=windows[SHOWN_WINDOW].unknown_decisions(),
            status=self._status,
        )
        self._reports.rebuilt(windows, now_ms=now_ms, pending=pending)

    async def _read(self, names: list[str], heartbeat: Heartbeat) -> list[Counts]:
        """Return the counts of minutes."""
        known = {name: self._minutes[name] for name in names if name in self._minutes}
        self._minutes = dict(known)
        unread = [name for name in names if name not in known]
        self._changed.clear()
        read: dict[str, Counts] = {}
        for begin in range(0, len(unread), _READ_TOGETHER):
            some = unread[begin : begin + _READ_TOGETHER]
            for name, fields in zip(some, await self._store.intelligence_buckets(some), strict=True):
                read[name] = read_bucket(fields)
                await trio.lowlevel.checkpoint()
            heartbeat.beat()
        found = [read[name] if name in read else known[name] for name in names]
        # What was counted during the read may be in it or not.
        self._minutes.update((name, counts) for name, counts in read.items() if name not in self._changed)
        return found


def _write(name: str, counts: Counts) -> WindowWrite:
    return WindowWrite(
        name,
        tuple(counts.decisions.items()),
        tuple(counts.top_reasons()),
        tuple(counts.gates.items()),
    )
