"""WebSockets at a base address of the exchange, opened within a timeout and always closed."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import LocalProtocolError

from brain.error_groups import first_error
from clock import Clock
from exchange.errors import ExchangeUnavailable, HandshakeRefused
from exchange.names import NameResolver, open_socket
from exchange.wire_logs import keep_addresses_out_of_logs

_LARGEST_FRAME_BYTES = 4 * 1024 * 1024
_CLOSE_SEC = 1.0

_Socket = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class OpenWebSocket:
    """Open WebSocket. `closed` returns an ExchangeError for the library's error."""

    def __init__(self, name: str, websocket: WebSocketConnection, stream: _Socket) -> None:
        self.websocket = websocket
        self._name = name
        self._stream = stream

    async def aclose(self) -> None:
        """Send a close frame, wait at most 1 s for the answer, and close; if cancelled, close at once."""
        try:
            with trio.move_on_after(_CLOSE_SEC):
                await self.websocket.aclose()
        finally:
            await trio.aclose_forcefully(self._stream)

    def closed(self, closed: ConnectionClosed) -> ExchangeUnavailable:
        """Return the error to raise for a closed connection."""
        if closed.reason is None:
            return ExchangeUnavailable(f"{self._name}: closed")
        return ExchangeUnavailable(f"{self._name}: closed with code {closed.reason.code}")


class WebSocketConnector:
    """Opener of WebSockets at a base address such as `wss://fstream.binance.com`.

    `name` is for error texts, `frames_waiting` the number of frames that may be queued: with a full queue the
    library reads nothing, not even pongs.
    """

    name: ClassVar[str]
    frames_waiting: ClassVar[int]

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        connect_timeout_sec: float = 5.0,
        names: NameResolver | None = None,
    ) -> None:
        """Take `connect_timeout_sec` for name resolution, TCP, TLS and WebSocket handshake together.

        `names` looks up the host's addresses; None: each connection by itself."""
        keep_addresses_out_of_logs()
        base = urlsplit(base_url)
        self._tls = httpx.create_ssl_context() if base.scheme == "wss" else None
        self._host = base.hostname or ""
        self._port = base.port or (80 if self._tls is None else 443)
        self._host_header = base.netloc
        self._path = base.path.rstrip("/")
        self.clock = clock
        self._connect_timeout_sec = connect_timeout_sec
        self.names = names

    async def open(self, nursery: trio.Nursery, target: str) -> OpenWebSocket:
        """Open a WebSocket at path and query `target`. Raises ExchangeUnavailable.

        Its tasks run in `nursery`, to be cancelled when the caller has done with it.
        """
        opened: OpenWebSocket = await nursery.start(self._hold, target)
        return opened

    async def _hold(self, target: str, *, task_status: trio.TaskStatus[OpenWebSocket]) -> None:
        """Open a connection, report it, and keep its reader until that is done.

        The reader has a nursery of its own, because a refused handshake is raised there as well.
        """
        opened: OpenWebSocket | None = None
        refusal: ExchangeUnavailable | None = None
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(self._connect_timeout_sec):
                    opened = await self._open(nursery, target)
                task_status.started(opened)
        except* trio.TooSlowError:
            refusal = ExchangeUnavailable(
                f"{self.name}: no connection within {self._connect_timeout_sec:g} s"
            )
        except* ConnectionRejected as errors:
            refusal = HandshakeRefused(f"{self.name}: ConnectionRejected{_status(errors)}")
        except* (HandshakeError, LocalProtocolError, OSError, trio.BrokenResourceError) as errors:
            # The library's reader answers a ping even after our close frame, and fails with a protocol error.
            # The library's own text may contain the address, and with it the listen key.
            refusal = ExchangeUnavailable(f"{self.name}: {type(errors.exceptions[0]).__name__}")
        if refusal is not None and opened is None:
            raise refusal

    async def _open(self, nursery: trio.Nursery, target: str) -> OpenWebSocket:
        # The library's own connecting hides the socket, and does not always close it; so it is opened, and
        # closed, here.
        stream = await self._open_socket()
        try:
            websocket = await wrap_client_stream(
                nursery,
                stream,
                self._host_header,
                f"{self._path}{target}",
                message_queue_size=self.frames_waiting,
                max_message_size=_LARGEST_FRAME_BYTES,
            )
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return OpenWebSocket(self.name, websocket, stream)

    async def _open_socket(self) -> _Socket:
        if self.names is None:
            stream = await trio.open_tcp_stream(self._host, self._port)
        else:
            stream = await open_socket(self.names, self._host, self._port)
        if self._tls is None:
            return stream
        # The certificate is checked against the name, at any address.
        return trio.SSLStream(stream, self._tls, server_hostname=self._host, https_compatible=True)


def _status(errors: BaseExceptionGroup[ConnectionRejected]) -> str:
    error = first_error(errors)
    return f" with status {error.status_code}" if isinstance(error, ConnectionRejected) else ""
