"""A relay between the daemon and what it speaks to, where a test sees the bytes pass, and can keep them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import trio

_RECEIVE_BYTES = 1 << 16

#: Called with bytes before they are passed on; they wait until it returns.
Watch = Callable[[bytes], Awaitable[None]]
Opens = Callable[[], Awaitable[trio.SocketStream]]


class Relay:
    """Passes bytes both ways. `on_request` and `on_answer` see them before they go on."""

    def __init__(self, upstream: Opens, port: int) -> None:
        self._upstream = upstream
        self.port = port
        self.on_request: Watch = _see_nothing
        self.on_answer: Watch = _see_nothing

    async def serve(self, client: trio.SocketStream) -> None:
        """Relay one connection until either side ends it."""
        async with client:
            try:
                server = await self._upstream()
            except OSError:
                return
            async with server, trio.open_nursery() as nursery:
                ends = nursery.cancel_scope
                nursery.start_soon(partial(_copy, client, server, lambda seen: self.on_request(seen), ends))
                nursery.start_soon(partial(_copy, server, client, lambda seen: self.on_answer(seen), ends))


async def _see_nothing(_seen: bytes) -> None:
    pass


async def _copy(
    source: trio.SocketStream, sink: trio.SocketStream, watch: Watch, both: trio.CancelScope
) -> None:
    try:
        while received := await source.receive_some(_RECEIVE_BYTES):
            await watch(received)
            await sink.send_all(received)
    except trio.BrokenResourceError:
        pass
    both.cancel()


@asynccontextmanager
async def relay_to(url: str) -> AsyncIterator[Relay]:
    """Run a relay to an address: of HTTP by host and port, or `unix://` of Redis."""
    parts = urlsplit(url)
    opens: Opens = (
        partial(trio.open_unix_socket, parts.path)
        if parts.scheme == "unix"
        else partial(trio.open_tcp_stream, parts.hostname or "", parts.port or 0)
    )
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        relay = Relay(opens, listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, relay.serve, listeners)
        yield relay
        nursery.cancel_scope.cancel()
