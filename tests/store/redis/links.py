"""Links to Redis servers, and to servers that are none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from store.redis.asyncio_bridge import open_bridge
from store.redis.client import RedisLink

WRITE = "return redis.call('SET', 'k', ARGV[1])"


@asynccontextmanager
async def linked(url: str, timeout_sec: float = 5) -> AsyncIterator[RedisLink]:
    """Yield a link to `url`, closed in the end."""
    async with open_bridge():
        link = RedisLink(url, timeout_sec=timeout_sec)
        yield link
        await link.close()


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[str]:
    """A server that takes connections and answers every command alike, or hangs up (`b""`), or is silent."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            while answer is None or answer:
                if not await stream.receive_some(4096):
                    return
                if answer:
                    await stream.send_all(answer)

    async with serving(serve) as url:
        yield url


@asynccontextmanager
async def serving(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve connections on TCP; yield the address as one of Redis."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"redis://127.0.0.1:{listeners[0].socket.getsockname()[1]}/0"
        nursery.cancel_scope.cancel()
