"""Private stream over a WebSocket.

Source: Binance USDⓈ-M Futures, "User Data Streams": `<ws>/private/ws?listenKey=…`; a connection lives at most
24 hours; the exchange pings every 3 minutes, which trio-websocket answers by itself.
"""

from __future__ import annotations

from collections import deque
from urllib.parse import urlencode

import trio
from trio_websocket import ConnectionClosed

from clock import Clock
from exchange.protocol import Frame, Pong
from exchange.websocket import OpenWebSocket, WebSocketConnector


class UserStreamConnector(WebSocketConnector):
    """Connector to the private stream at a base address such as `wss://fstream.binance.com`."""

    name = "private stream"
    frames_waiting = 65_536

    async def connect(self, nursery: trio.Nursery, listen_key: str) -> UserStreamConnection:
        """Return an open connection. Raises ExchangeUnavailable; see `StreamConnector` for the nursery."""
        opened = await self.open(nursery, f"/private/ws?{urlencode({'listenKey': listen_key})}")
        return UserStreamConnection(opened, self.clock)


class UserStreamConnection:
    """Connection of which `receive` returns pongs in order with the frames.

    When a pong arrives, earlier frames have arrived, but may still be queued. The pinging task then cancels
    the receiving task's wait: only a wait on an empty queue can be cancelled, and then it returns the pong.
    """

    def __init__(self, opened: OpenWebSocket, clock: Clock) -> None:
        self._opened = opened
        self._clock = clock
        self._answered: deque[Pong] = deque()
        self._wait: trio.CancelScope | None = None
        self._turn = trio.lowlevel.ParkingLot()

    async def receive(self) -> Frame | Pong:
        """What came next; see `StreamSocket`."""
        while True:
            if self._answered:
                self._turn.unpark_all()
            with trio.CancelScope() as self._wait:
                try:
                    raw = await self._opened.websocket.get_message()
                except ConnectionClosed as closed:
                    raise self._opened.closed(closed) from None
                finally:
                    self._wait = None
                return Frame(raw, self._clock.now())
            if self._answered:
                pong = self._answered.popleft()
                self._turn.unpark_all()
                return pong

    async def ping(self) -> None:
        """Ping, and wait until the pong was received; see `StreamSocket`."""
        pong = Pong(self._clock.now())
        try:
            await self._opened.websocket.ping()
        except ConnectionClosed as closed:
            raise self._opened.closed(closed) from None
        self._answered.append(pong)
        while pong in self._answered:
            if self._wait is not None:
                self._wait.cancel()
            await self._turn.park()

    async def aclose(self) -> None:
        """Send a close frame, wait at most 1 s for the answer, and close; if cancelled, close at once."""
        await self._opened.aclose()
