"""Counts the messages that a client sends, pings included, straight from its bytes.

The WebSocket library answers pings by itself and shows none of them. Pongs and close frames are answers and
do not count. Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from simulator.faults import Faults

_WINDOW_SEC = 1.0
_MASK_BYTES = 4
_EXTENDED = {126: 2, 127: 8}
_COUNTED = (1, 2, 9)  # text, binary, ping


class IncomingMessages:
    """One connection's count; calls ``on_flood`` when more came within a second than the faults allow."""

    def __init__(self, faults: Faults, on_flood: Callable[[], None]) -> None:
        self._faults = faults
        self._on_flood = on_flood
        self._unread = b""
        self._to_skip = 0
        self._at_sec: deque[float] = deque()

    def count(self, data: bytes) -> None:
        """Count the frames that begin in the next bytes of the connection."""
        self._unread += data
        while self._unread:
            skipped = min(self._to_skip, len(self._unread))
            self._unread = self._unread[skipped:]
            self._to_skip -= skipped
            if self._to_skip or not self._take_header():
                return

    def _take_header(self) -> bool:
        if len(self._unread) < 2:
            return False
        opcode, length = self._unread[0] & 0x0F, self._unread[1] & 0x7F
        extended = _EXTENDED.get(length, 0)
        if len(self._unread) < 2 + extended:
            return False
        if extended:
            length = int.from_bytes(self._unread[2 : 2 + extended], "big")
        masked = _MASK_BYTES if self._unread[1] & 0x80 else 0
        self._unread = self._unread[2 + extended :]
        self._to_skip = masked + length
        if opcode in _COUNTED:
            self._came()
        return True

    def _came(self) -> None:
        now_sec = trio.current_time()
        self._at_sec.append(now_sec)
        while self._at_sec[0] <= now_sec - _WINDOW_SEC:
            self._at_sec.popleft()
        limit = self._faults.incoming_messages_per_sec
        if limit is not None and len(self._at_sec) > limit:
            self._on_flood()
