"""An HTTP server for one ASGI application that no client can hold up.

Protocols are hypercorn's; accepting and ending connections is done here. `hypercorn.trio.serve` sends in a
shielded scope, so that one client which does not read would keep the actor from ending, for a restart or for
good; and an error within one connection would end all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, Framework
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from supervision.failures import reason_of

_MOST_CONNECTIONS = 64
_LONGEST_HEAD = 8 * 1024


class AddressUnusableError(Exception):
    """P33_BIND and P33_METRICS_PORT name an address that cannot be listened on."""


async def open_listeners(bind: str, port: int) -> list[trio.SocketListener]:
    """Listen on every address that `bind` names; port 0 takes any free one. Raises AddressUnusableError."""
    try:
        return await trio.open_tcp_listeners(port, host=bind)
    except OSError as error:
        raise AddressUnusableError(
            f"cannot listen on {_address(bind, port)} (P33_BIND, P33_METRICS_PORT): {error}"
        ) from error


def listening_url(listeners: Sequence[trio.SocketListener]) -> str:
    """The URL of the first listener."""
    host, port = listeners[0].socket.getsockname()[:2]
    return f"http://{_address(host, port)}"


class HttpServer:
    """Serves connections, the oldest of which is closed when there are too many."""

    def __init__(self, app: ASGIApp, *, logger: FilteringBoundLogger) -> None:
        self._logger = logger
        self._config = Config()
        self._config.errorlog = None
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = _LONGEST_HEAD
        self._config.h2_max_header_list_size = _LONGEST_HEAD
        self._config.h2_max_concurrent_streams = 8
        self._app = wrap_app(cast(Framework, app), 0, "asgi")
        self._context = WorkerContext(None)
        self._connections: dict[trio.SocketStream, trio.CancelScope] = {}

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Serve until cancelled, then close listeners and connections at once."""
        async with trio.open_nursery() as nursery:
            try:
                await trio.serve_listeners(self._serve_connection, listeners, handler_nursery=nursery)
            finally:
                for listener in listeners:
                    listener.socket.close()
                while self._connections:
                    self._end_oldest()

    async def _serve_connection(self, stream: trio.SocketStream) -> None:
        if len(self._connections) >= _MOST_CONNECTIONS:
            self._end_oldest()
        scope = self._connections[stream] = trio.CancelScope()
        try:
            with scope:
                await TCPServer(
                    self._app,
                    self._config,
                    self._context,
                    ConnectionState({}),
                    stream,  # type: ignore[arg-type]  # the annotation names TLS alone, the code takes both
                )
        except Exception as error:  # noqa: BLE001 - what one client brings about ends that client's connection
            self._logger.warning("HTTP connection failed", why=reason_of(error))
        finally:
            self._connections.pop(stream, None)

    def _end_oldest(self) -> None:
        stream = next(iter(self._connections))
        self._connections.pop(stream).cancel()
        # What is being sent is shielded from cancelling, but not from this.
        stream.socket.close()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
