"""A web server on this machine that takes notices, or treats those who send them badly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import trio

Mode = Literal[
    "ok", "redirect", "silent", "endless", "endless_head", "garbage", "refusing", "broken", "limiting"
]
_ANSWERS: dict[str, bytes] = {
    "ok": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x00\x01\x02 no HTTP\r\n\r\n",
    "refusing": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "limiting": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n",
    "broken": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
}


class NoticeEndpoint:
    """What it was sent: paths, and bodies read as JSON, with the time of arrival on Trio's clock."""

    def __init__(self, port: int, mode: Mode = "ok") -> None:
        self.port = port
        self.mode: Mode = mode
        self.requests: list[tuple[str, Any, float]] = []
        self.bytes_sent = 0
        self._changed = trio.Event()

    @property
    def bodies(self) -> list[Any]:
        return [body for _, body, _ in self.requests]

    async def until(self, reached: Callable[[], bool], within_sec: float = 10.0) -> None:
        """Wait for requests until something holds."""
        with trio.fail_after(within_sec):
            while not reached():
                await self._changed.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Take one request, and answer as the mode says."""
        try:
            async with stream:
                await self._record(stream)
                await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _record(self, stream: trio.SocketStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await _more(stream)
        head, _, body = received.partition(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Len")
        )
        while len(body) < length:
            body += await _more(stream)
        self.requests.append((head.split()[1].decode(), json.loads(body), trio.current_time()))
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _answer(self, stream: trio.SocketStream) -> None:
        if self.mode == "silent":
            await trio.sleep_forever()
        if self.mode in ("endless", "endless_head"):
            await stream.send_all(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if self.mode == "endless" else b""))
            while True:
                await stream.send_all(b"X-More: more\r\n" * 1000)
                self.bytes_sent += 14_000
        await stream.send_all(_ANSWERS[self.mode])


async def _more(stream: trio.SocketStream) -> bytes:
    """Return what comes next. Raises ClosedResourceError where a client leaves amid its request."""
    received = bytes(await stream.receive_some())
    if not received:
        raise trio.ClosedResourceError
    return received


@asynccontextmanager
async def notice_endpoint(mode: Mode = "ok") -> AsyncIterator[NoticeEndpoint]:
    """Serve on a free port of 127.0.0.1 until the end of the block."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        endpoint = NoticeEndpoint(listener.socket.getsockname()[1], mode)
        nursery.start_soon(trio.serve_listeners, endpoint.serve, [listener])
        yield endpoint
        nursery.cancel_scope.cancel()
