"""Handshake of a connection, which refuses a Sentinel's own port and a node of a cluster in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import redis.exceptions as redis_errors

Greeting = Mapping[bytes, object]

_REFUSALS: Mapping[bytes, str] = {
    b"sentinel": "a Sentinel answers there, which keeps no data: set redis+sentinel://HOST:PORT/SERVICE/DB",
    b"cluster": "a node of a Redis Cluster answers there, which this service cannot use: set another Redis",
}
#: A Sentinel does not know SELECT, nor perhaps the user.
_REFUSED = (redis_errors.ResponseError, redis_errors.AuthenticationError)


class WrongModeError(redis_errors.ConnectionError):
    """The server is a Sentinel or a node of a cluster."""


async def shake_hands(connection: Any) -> None:
    """Log in on an asyncio connection of redis-py (its `redis_connect_func`). Raises WrongModeError."""
    try:
        await connection.on_connect()
    except _REFUSED:
        greeting: Greeting = {}
        with _anonymous(connection), suppress(redis_errors.RedisError):
            await connection.disconnect(nowait=True)
            await connection.connect()
            await connection.send_command("HELLO", 3)
            greeting = await connection.read_response()
        _check(greeting)
        raise
    await connection.send_command("HELLO", 3)
    _check(await connection.read_response())


def shake_hands_blocking(connection: Any) -> None:
    """Log in on a blocking connection of redis-py, as `shake_hands`."""
    try:
        connection.on_connect()
    except _REFUSED:
        greeting: Greeting = {}
        with _anonymous(connection), suppress(redis_errors.RedisError):
            connection.disconnect()
            connection.connect()
            connection.send_command("HELLO", 3)
            greeting = connection.read_response()
        _check(greeting)
        raise
    connection.send_command("HELLO", 3)
    _check(connection.read_response())


@contextmanager
def _anonymous(connection: Any) -> Iterator[None]:
    """Let the connection connect without login and database."""
    changed = {"username": None, "password": None, "db": 0, "redis_connect_func": None}
    before = {name: getattr(connection, name) for name in changed}
    try:
        for name, value in changed.items():
            setattr(connection, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(connection, name, value)


def _check(greeting: Greeting) -> None:
    mode = greeting.get(b"mode")
    if isinstance(mode, bytes) and mode in _REFUSALS:
        raise WrongModeError(_REFUSALS[mode])
