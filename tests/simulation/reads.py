"""Times of a process's position reads: they show since when it could have known of a change."""

from __future__ import annotations

from collections import deque

import msgspec

_KEPT = 64


class Read(msgspec.Struct, frozen=True):
    """An answer with positions: of one symbol, or of all (None). True milliseconds."""

    symbol: str | None
    sent_ms: int
    answered_ms: int
    arrived_ms: int


class Reads:
    """The last reads of one process that arrived whole."""

    def __init__(self) -> None:
        self._reads: deque[Read] = deque(maxlen=_KEPT)

    def arrived(self, read: Read) -> None:
        """Take note of a read."""
        self._reads.append(read)

    def clear(self) -> None:
        """Another incarnation knows nothing of them."""
        self._reads.clear()

    def first_showing(self, symbol: str, changed_ms: int, apart_ms: int, audit_ms: int) -> int | None:
        """Return when the first read that must have shown the row of before `changed_ms` as wrong was merged.

        One that was sent within `apart_ms` after another arrived may be older than what that one showed. A
        read of all positions that one shard sent, another merges when its own next one is due: `audit_ms`
        after the sending of its last.
        """
        mine = [read for read in self._reads if read.symbol in (None, symbol)]
        before_ms = max((read.sent_ms for read in mine if read.sent_ms <= changed_ms), default=0)
        for read in mine:
            if read.answered_ms <= changed_ms:
                continue
            raced = any(0 <= read.sent_ms - each.arrived_ms <= apart_ms for each in mine) or any(
                each.sent_ms < read.sent_ms < each.arrived_ms for each in mine
            )
            if not raced:
                shared = read.symbol is None
                return max(read.arrived_ms, before_ms + audit_ms if shared else 0)
        return None
