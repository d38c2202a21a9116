"""Server-side TCP connections that can fail the way networks do: frozen, reset, cut off.

Frozen means half-open: reads and writes stall, and the peer gets neither FIN nor RST nor pong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import trio
from trio import socket as trio_socket

from simulator.arrival_times import note_arrivals, receive_with_time


class FaultySocket(trio.abc.HalfCloseableStream):
    """A socket stream with three extra verbs: ``freeze``/``thaw``, ``reset`` and ``cut_body_after``."""

    def __init__(self, stream: trio.SocketStream, on_close: Callable[[FaultySocket], None]) -> None:
        self._stream = stream
        self._on_close = on_close
        self._thawed = trio.Event()
        self._thawed.set()
        self._body_bytes_left: int | None = None
        self._head_sent = False
        note_arrivals(stream)
        #: When the bytes that were read last had arrived, by this host's clock (epoch ms).
        self.arrived_ms = 0.0
        #: Called with the bytes that were read, from when it is set.
        self.on_read: Callable[[bytes], None] | None = None
        try:
            self.peer: tuple[str, int] | None = stream.socket.getpeername()[:2]
        except OSError:
            self.peer = None  # gone again before it was looked at

    @property
    def socket(self) -> trio_socket.SocketType:
        return self._stream.socket

    def freeze(self) -> None:
        if self._thawed.is_set():
            self._thawed = trio.Event()

    def thaw(self) -> None:
        self._thawed.set()

    async def thawed(self) -> None:
        """Wait until the connection is not frozen."""
        await self._thawed.wait()

    async def reset(self) -> None:
        """Close at once with a RST; what was not yet sent is lost."""
        self.socket.setsockopt(trio_socket.SOL_SOCKET, trio_socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.aclose()

    def cut_body_after(self, body_bytes: int) -> None:
        """Cut the next HTTP response after its head and that many bytes of its body, then close."""
        self._body_bytes_left = body_bytes
        self._head_sent = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._thawed.wait()
        if self._body_bytes_left is None:
            await self._stream.send_all(data)
        else:
            await self._send_cut(bytes(data))

    async def _send_cut(self, data: bytes) -> None:
        head = b""
        if not self._head_sent:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                await self._stream.send_all(data)
                return
            self._head_sent = True
            head, data = data[: end + 4], data[end + 4 :]
        left = self._body_bytes_left or 0
        await self._stream.send_all(head + data[:left])
        self._body_bytes_left = left - len(data)
        if self._body_bytes_left <= 0:
            await self.aclose()
            raise trio.BrokenResourceError("the response was cut off on purpose")

    async def wait_send_all_might_not_block(self) -> None:
        await self._thawed.wait()
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._thawed.wait()
        data, self.arrived_ms = await receive_with_time(self._stream, max_bytes)
        await self._thawed.wait()
        if self.on_read is not None:
            self.on_read(data)
        return data

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self._on_close(self)
        await self._stream.aclose()


class FaultyListener(trio.abc.Listener[FaultySocket]):
    """A listener on a loopback port whose connections are ``FaultySocket``s."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.open_sockets: set[FaultySocket] = set()

    @property
    def port(self) -> int:
        port: int = self._listener.socket.getsockname()[1]
        return port

    async def accept(self) -> FaultySocket:
        accepted = FaultySocket(await self._listener.accept(), self.open_sockets.discard)
        self.open_sockets.add(accepted)
        return accepted

    async def aclose(self) -> None:
        await self._listener.aclose()


async def listen(host: str, port: int) -> FaultyListener:
    """Listen there; port 0 takes a free one. ``OSError`` when the port is taken."""
    listeners = await trio.open_tcp_listeners(port, host=host)
    for spare in listeners[1:]:
        await spare.aclose()
    return FaultyListener(listeners[0])
