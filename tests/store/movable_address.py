"""An address in front of several servers, as a virtual IP or a managed Redis has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

_RECEIVE_BYTES = 1 << 16


class MovableAddress:
    """New connections go to the server that is current then; those of before stay where they are."""

    def __init__(self, port: int, socket: str) -> None:
        """`socket`: the path of the first server's Unix socket."""
        self.url = f"redis://127.0.0.1:{port}/0"
        self.connections = 0
        self._socket = socket

    def lead_to(self, socket: str) -> None:
        """Move: from now on new connections go to that server."""
        self._socket = socket

    async def serve(self, client: trio.SocketStream) -> None:
        """Relay one connection until either side ends it."""
        self.connections += 1
        async with client:
            try:
                server = await trio.open_unix_socket(self._socket)
            except OSError:
                return
            async with server, trio.open_nursery() as nursery:
                for source, sink in ((client, server), (server, client)):
                    nursery.start_soon(partial(_copy, source, sink, nursery.cancel_scope))


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        while received := await source.receive_some(_RECEIVE_BYTES):
            await sink.send_all(received)
    except trio.BrokenResourceError:
        pass
    both.cancel()


@asynccontextmanager
async def movable_address(socket: str) -> AsyncIterator[MovableAddress]:
    """Leads to the server at `socket` first."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = MovableAddress(listeners[0].socket.getsockname()[1], socket)
        nursery.start_soon(trio.serve_listeners, address.serve, listeners)
        yield address
        nursery.cancel_scope.cancel()
