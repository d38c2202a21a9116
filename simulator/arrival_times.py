"""Reads from sockets with the time at which the kernel received what is read (Linux: SO_TIMESTAMPNS)."""

from __future__ import annotations

import socket
import struct
import sys
import time

import trio
from trio import socket as trio_socket

#: ``SO_TIMESTAMPNS``, which Python's module has no name for; the message with the time has the same number.
_TIMESTAMP_NS = 35
_TIME = struct.Struct("@qq")
_ROOM = socket.CMSG_SPACE(_TIME.size)
_MOST_BYTES = 65_536


def note_arrivals(stream: trio.SocketStream) -> None:
    """Let the kernel note when it receives what comes over a stream."""
    if sys.platform == "linux":
        stream.setsockopt(trio_socket.SOL_SOCKET, _TIMESTAMP_NS, 1)


async def receive_with_time(stream: trio.SocketStream, max_bytes: int | None) -> tuple[bytes, float]:
    """Return what ``stream.receive_some`` would, and when the last of it arrived (epoch milliseconds).

    Where the kernel does not say: the moment of reading.
    """
    try:
        data, notes, _, _ = await stream.socket.recvmsg(max_bytes or _MOST_BYTES, _ROOM)
    except OSError as error:
        if stream.socket.fileno() < 0:
            raise trio.ClosedResourceError("this socket was already closed") from None
        raise trio.BrokenResourceError(f"socket connection broken: {error}") from error
    for level, kind, noted in notes:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMP_NS) and len(noted) == _TIME.size:
            seconds, nanoseconds = _TIME.unpack(noted)
            return data, seconds * 1000 + nanoseconds / 1e6
    return data, time.time() * 1000
