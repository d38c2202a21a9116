"""Every command that a Redis executes, those of scripts included, as its MONITOR shows them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def words_of(line: bytes) -> list[str]:
    """Parse a line of MONITOR: `+<time> [<db> <client>] "<command>" "<argument>" …`."""
    return [word.decode() for word in _QUOTED.findall(line)]


@asynccontextmanager
async def monitored(redis_url: str, take: Callable[[bytes], None]) -> AsyncIterator[None]:
    """Hand each line to `take` for the length of the block."""
    address = urlsplit(redis_url)
    stream: trio.SocketStream = (
        await trio.open_unix_socket(address.path)
        if address.scheme == "unix"
        else await trio.open_tcp_stream(address.hostname or "", address.port or 0)
    )
    async with stream, trio.open_nursery() as nursery:
        await stream.send_all(b"MONITOR\r\n")

        async def follow() -> None:
            rest = b""
            async for chunk in stream:
                *lines, rest = (rest + chunk).split(b"\r\n")
                for line in lines:
                    take(line)

        nursery.start_soon(follow)
        yield
        nursery.cancel_scope.cancel()


class Writes:
    """Keys that commands may have changed, each with the group of a command that names one, else alone."""

    def __init__(self, redis: Any) -> None:
        self.seen: set[tuple[str, ...]] = set()
        self._writing = {name for name, about in redis.command().items() if "write" in about["flags"]}

    def take(self, line: bytes) -> None:
        """Take in a line of MONITOR."""
        words = words_of(line)
        if not words:
            return
        command, arguments = words[0].lower(), words[1:]
        if command == "xgroup":
            self.seen.add((arguments[1], arguments[2]))
        elif command == "xreadgroup":
            streams = [word.upper() for word in arguments].index("STREAMS") + 1
            count = (len(arguments) - streams) // 2
            self.seen |= {(key, arguments[1]) for key in arguments[streams : streams + count]}
        elif command in ("xack", "xclaim", "xautoclaim"):
            self.seen.add((arguments[0], arguments[1]))
        elif command in self._writing:
            keys = arguments if command in ("del", "unlink") else arguments[:1]
            self.seen |= {(key,) for key in keys}
