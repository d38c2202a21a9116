"""Rate limit for new WebSocket connections, shared by all streams of this process.

Source: Binance USDⓈ-M Futures, "WebSocket Market Streams": an address that makes more than 300 connections in
5 minutes is banned. Other processes at this address count too, so this one stays within its share of that.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from exchange.protocol import Priority

WINDOW_SEC: Final = 60.0
#: Share of the address's 300 in 5 minutes, unless the settings give another one.
USUAL_SHARE: Final = 60


def most_connections(share: int = USUAL_SHARE) -> dict[Priority, int]:
    """Return the connections in any 60 s with a share of so many in 5 minutes, at least 10.

    A third is for the private stream alone.
    """
    vital = share // 5
    return {Priority.PERIODIC: vital * 2 // 3, Priority.VITAL: vital}


class ConnectionLimit:
    """Counter of connections on the monotonic clock; it outlives the actors and their restarts."""

    def __init__(self, share: int = USUAL_SHARE) -> None:
        """Take the `share` of connections in any 5 minutes."""
        self._most = most_connections(share)
        self._opened_sec: deque[float] = deque()

    async def turn(self, priority: Priority) -> None:
        """Wait until one more connection is within the limit, and count it. Connect right after."""
        while True:
            wait_sec = self._wait_sec(self._most[priority])
            if wait_sec <= 0:
                break
            await trio.sleep(wait_sec)
        self._opened_sec.append(trio.current_time())

    def _wait_sec(self, most: int) -> float:
        """Return the seconds until there are less than `most` connections within the window."""
        now_sec = trio.current_time()
        while self._opened_sec and self._opened_sec[0] <= now_sec - WINDOW_SEC:
            self._opened_sec.popleft()
        if len(self._opened_sec) < most:
            return 0.0
        return self._opened_sec[-most] + WINDOW_SEC - now_sec
