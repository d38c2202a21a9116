"""Caches the marks of seen notices: one read per 3 s at most, 0.5 s timeout."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from clock import Clock
from monitoring.patience import UnreadError, read_in_time
from store.notice_records import SeenMark
from store.protocol import DiagnosticsStore

_EVERY_SEC = 3.0


class SeenNotices:
    """Marks as read last. `unread`: why the latest read failed, None where it did not."""

    def __init__(self, store: DiagnosticsStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._at_sec = float("-inf")
        self.marks: Mapping[str, SeenMark] = {}
        self.unread: str | None = None

    def expire(self) -> None:
        """Let the next refresh read Redis."""
        self._at_sec = float("-inf")

    async def refresh(self) -> None:
        """Read Redis, if the latest read is older than 3 s. What was read before stays where that fails."""
        now_sec = self._clock.now().monotonic_sec
        if now_sec - self._at_sec < _EVERY_SEC:
            return
        self._at_sec = now_sec
        try:
            self.marks = await read_in_time(self._store.seen_notices())
            self.unread = None
        except UnreadError as error:
            self.unread = str(error)
        except trio.Cancelled:
            self.expire()
            raise
