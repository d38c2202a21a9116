"""Handshake of a new connection: room for large commands, and the server's reason for a refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from socket import AF_UNIX, SO_SNDBUF, SOL_SOCKET, socket
from typing import Any

import redis.exceptions as redis_errors

_LONGEST_REFUSAL = 512
#: Above a batch of 64 decisions or judgements (250 to 320 KB). Linux gives a Unix socket 208 KB, its overhead
#: included; what does not fit is sent in pieces, between which the event loop waits. Source: socket(7).
_SEND_BYTES = 1_048_576


class ServerRefusalError(redis_errors.ConnectionError):
    """The server said why it takes no connection, and closed it."""


def is_refusal(error: BaseException) -> bool:
    """Return whether it is a ServerRefusalError, which redis-py wraps over a Unix socket."""
    return any(isinstance(each, ServerRefusalError) for each in (error, *error.args))


def quoting_refusals(connection: Any) -> Any:
    """Return a redis-py connection, not connected yet, whose handshake fails with the server's reason.

    A server that refuses a connection, as Redis does beyond `maxclients`, sends an error and closes before it
    reads anything. A write that comes after that fails, and redis-py drops what was received.
    """
    # `redis_connect_func` would not do: over a Unix socket redis-py has shaken hands before it calls that.
    connection.on_connect_check_health = partial(_shake_hands, connection, connection.on_connect_check_health)
    return connection


async def _shake_hands(connection: Any, usual: Callable[..., Awaitable[None]], **named: Any) -> None:
    reader: Any = connection._reader
    with connection._writer.get_extra_info("socket").dup() as duplicate:
        if duplicate.family == AF_UNIX:
            duplicate.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BYTES)
        try:
            await usual(**named)
        except redis_errors.ConnectionError as error:
            if type(error) is not redis_errors.ConnectionError:
                # A wrong password, or a server that is loading.
                raise
            # asyncio has no public API for what it has received; redis-py looks there, too.
            refusal = (
                str(error) if error.status_code else _refusal(bytes(reader._buffer) + _unread(duplicate))
            )
            if refusal:
                raise ServerRefusalError(refusal) from error
            raise


def _unread(duplicate: socket) -> bytes:
    try:
        return duplicate.recv(_LONGEST_REFUSAL)
    except OSError:
        return b""


def _refusal(received: bytes) -> str:
    """Return the error that was received, without the general code; empty where there is none."""
    line, ended, _ = received.partition(b"\r\n")
    if not ended or not line.startswith(b"-"):
        return ""
    return line[1:_LONGEST_REFUSAL].removeprefix(b"ERR ").decode(errors="replace")
