"""Redis client on one blocking socket with hiredis, as cheap as possible."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis

Argument = bytes | str | int
Command = tuple[Argument, ...]

_RECEIVE_BYTES = 1 << 18
_NOTHING: Final = object()


def pack(command: Command) -> bytes:
    """Encode a command."""
    arguments: Any = command  # hiredis's own annotation knows only tuples of one
    packed: bytes = hiredis.pack_command(arguments)
    return packed


class RedisRefusedError(Exception):
    """Error reply of Redis."""


class BlockingRedis:
    """RESP3 connection. Raises RedisRefusedError, ConnectionError, TimeoutError.

    Pushed messages are collected in `pushed` while replies are read.
    """

    def __init__(self, url: str, *, timeout_sec: float | None = 60.0) -> None:
        """Take `url` of a Unix socket, as of `PrivateRedis.url`, and `timeout_sec` for every wait."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_sec)
        self._socket.connect(urlsplit(url).path)
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self.pushed: deque[list[Any]] = deque()
        self.command("HELLO", "3")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> BlockingRedis:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, *arguments: Argument) -> Any:
        """Send one command and return its reply."""
        self.send([arguments])
        return self.reply()

    def info(self, section: str) -> dict[str, str]:
        """Return a section of INFO."""
        text = self.command("INFO", section)
        lines = (text if isinstance(text, str) else text.decode()).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip; return their replies in order."""
        self.send(commands)
        return [self.reply() for _ in commands]

    def send(self, commands: Iterable[Command]) -> None:
        """Send commands without waiting for replies."""
        self.send_packed(b"".join(map(pack, commands)))

    def send_packed(self, packed: bytes) -> None:
        """Send commands encoded by `pack`."""
        self._socket.sendall(packed)

    def reply(self) -> Any:
        """Return the next reply."""
        while (answer := self._next()) is _NOTHING:
            self._receive()
        return _checked(answer)

    def drain(self, wait_sec: float) -> None:
        """Receive for up to `wait_sec`, until something came; drop the replies."""
        if select.select([self._socket], [], [], max(wait_sec, 0.0))[0]:
            self._receive()
            while (answer := self._next()) is not _NOTHING:
                _checked(answer)

    def wait_for_push(self) -> None:
        """Wait until there is a pushed message, dropping replies."""
        while not self.pushed:
            while self._next() is not _NOTHING:
                pass
            if not self.pushed:
                self._receive()

    def _next(self) -> Any:
        """Return the next reply that has arrived."""
        while isinstance(message := self._reader.gets(), hiredis.PushNotification):
            self.pushed.append(list(message))
        return message

    def _receive(self) -> None:
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionError("Redis closed the connection")
        self._reader.feed(received)


def _checked(answer: Any) -> Any:
    if isinstance(answer, hiredis.ReplyError):
        raise RedisRefusedError(str(answer))
    return answer
