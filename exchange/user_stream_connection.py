"""The private stream over a WebSocket.

Source: Binance USDⓈ-M Futures, "User Data Streams": `<ws>/private/ws?listenKey=…`; a connection lives at most
24 hours; the exchange pings every 3 minutes, which trio-websocket answers by itself.
"""

from __future__ import annotations

import ssl
from collections import deque
from urllib.parse import urlencode, urlsplit

import httpx
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from clock import Clock
from exchange.errors import ExchangeUnavailable
from exchange.protocol import Frame, Pong
from exchange.wire_logs import keep_addresses_out_of_logs

#: The library's reader stops reading, pongs included, while its queue is full.
_FRAMES_WAITING = 65_536
_LARGEST_FRAME_BYTES = 4 * 1024 * 1024
_CLOSE_SEC = 1.0

_Socket = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class UserStreamConnector:
    """Connects to the private stream at a base address such as `wss://fstream.binance.com`."""

    def __init__(self, base_url: str, *, clock: Clock, connect_timeout_sec: float = 5.0) -> None:
        """`connect_timeout_sec` bounds the whole of name resolution, TCP, TLS and WebSocket handshake."""
        keep_addresses_out_of_logs()
        base = urlsplit(base_url)
        self._tls = httpx.create_ssl_context() if base.scheme == "wss" else None
        self._host = base.hostname or ""
        self._port = base.port or (80 if self._tls is None else 443)
        self._host_header = base.netloc
        self._path = f"{base.path.rstrip('/')}/private/ws"
        self._clock = clock
        self._connect_timeout_sec = connect_timeout_sec

    async def connect(self, nursery: trio.Nursery, listen_key: str) -> UserStreamConnection:
        """A connection that stands. Raises ExchangeUnavailable; see `StreamConnector` for the nursery."""
        connection: UserStreamConnection = await nursery.start(self._hold, listen_key)
        return connection

    async def _hold(self, listen_key: str, *, task_status: trio.TaskStatus[UserStreamConnection]) -> None:
        """Open a connection, report it, and keep its reader until that is done.

        The reader has a nursery of its own, because a refused handshake is raised there as well.
        """
        connection: UserStreamConnection | None = None
        refusal: ExchangeUnavailable | None = None
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(self._connect_timeout_sec):
                    connection = await self._open(nursery, listen_key)
                task_status.started(connection)
        except* trio.TooSlowError:
            refusal = ExchangeUnavailable(
                f"private stream: no connection within {self._connect_timeout_sec:g} s"
            )
        except* (HandshakeError, OSError, trio.BrokenResourceError) as errors:
            # The library's own text may hold the address, and with it the listen key.
            refusal = ExchangeUnavailable(f"private stream: {type(errors.exceptions[0]).__name__}")
        if refusal is not None and connection is None:
            raise refusal

    async def _open(self, nursery: trio.Nursery, listen_key: str) -> UserStreamConnection:
        # The library's own connecting hides the socket, and closing its connection does not always close
        # that; so it is opened, and closed, here.
        stream = await _open_socket(self._host, self._port, self._tls)
        try:
            websocket = await wrap_client_stream(
                nursery,
                stream,
                self._host_header,
                f"{self._path}?{urlencode({'listenKey': listen_key})}",
                message_queue_size=_FRAMES_WAITING,
                max_message_size=_LARGEST_FRAME_BYTES,
            )
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return UserStreamConnection(websocket, stream, self._clock)


async def _open_socket(host: str, port: int, tls: ssl.SSLContext | None) -> _Socket:
    if tls is None:
        return await trio.open_tcp_stream(host, port)
    return await trio.open_ssl_over_tcp_stream(host, port, ssl_context=tls, https_compatible=True)


class UserStreamConnection:
    """One connection. `receive` gives pongs their place among the frames.

    A pong means that everything before it has arrived, but arrived frames may still wait to be received.
    So the pinging task, once answered, has the receiving task's wait cancelled: a wait that can be cancelled
    is one that found nothing, and only then is the pong given.
    """

    def __init__(self, websocket: WebSocketConnection, stream: _Socket, clock: Clock) -> None:
        self._websocket = websocket
        self._stream = stream
        self._clock = clock
        self._answered: deque[Pong] = deque()
        self._wait: trio.CancelScope | None = None
        self._turn = trio.lowlevel.ParkingLot()

    async def receive(self) -> Frame | Pong:
        """What came next; see `StreamConnection`."""
        while True:
            if self._answered:
                self._turn.unpark_all()
            with trio.CancelScope() as self._wait:
                try:
                    raw = await self._websocket.get_message()
                except ConnectionClosed as closed:
                    raise _closed(closed) from None
                finally:
                    self._wait = None
                return Frame(raw, self._clock.now())
            if self._answered:
                pong = self._answered.popleft()
                self._turn.unpark_all()
                return pong

    async def ping(self) -> None:
        """Ping, and wait until the pong was received; see `StreamConnection`."""
        pong = Pong(self._clock.now())
        try:
            await self._websocket.ping()
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        self._answered.append(pong)
        while pong in self._answered:
            if self._wait is not None:
                self._wait.cancel()
            await self._turn.park()

    async def aclose(self) -> None:
        """Say goodbye, for a second at most, and close; if cancelled, close at once."""
        try:
            with trio.move_on_after(_CLOSE_SEC):
                await self._websocket.aclose()
        finally:
            await trio.aclose_forcefully(self._stream)


def _closed(closed: ConnectionClosed) -> ExchangeUnavailable:
    reason = closed.reason
    return ExchangeUnavailable(
        "private stream: closed" if reason is None else f"private stream: closed with code {reason.code}"
    )
