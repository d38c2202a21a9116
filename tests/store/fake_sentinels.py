"""Sentinels that answer as a test sets them, over sockets of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

SERVICE = "quantum"


def naming(port: int) -> bytes:
    """Return the answer of a Sentinel that names a server of this host."""
    return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(port)), port)


class FakeSentinel:
    """Answers each question with `answer`, or not at all where it is None, and each login after a while."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.login_sec = 0.0
        self.port = 0
        self.asked = 0
        self.connections = 0
        self.most_connections = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        self.connections += 1
        self.most_connections = max(self.most_connections, self.connections)
        try:
            async with stream:
                await self._serve(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            self.connections -= 1

    async def _serve(self, stream: trio.SocketStream) -> None:
        while received := await stream.receive_some(4096):
            if b"GET-MASTER-ADDR-BY-NAME" not in received:
                await trio.sleep(self.login_sec)
                await stream.send_all(b"+OK\r\n" * received.count(b"*"))
                continue
            self.asked += 1
            if self.answer is not None:
                await stream.send_all(self.answer)


def url_of(sentinels: Sequence[FakeSentinel], options: str = "") -> str:
    """Return the address of the service that they watch."""
    hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
    return f"redis+sentinel://{hosts}/{SERVICE}/0{options}"


@asynccontextmanager
async def fake_sentinels(*answers: bytes | None) -> AsyncIterator[list[FakeSentinel]]:
    """Run one Sentinel for each answer."""
    sentinels = [FakeSentinel(answer) for answer in answers]
    async with trio.open_nursery() as nursery:
        for each in sentinels:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            each.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, each.serve, listeners)
        yield sentinels
        nursery.cancel_scope.cancel()
