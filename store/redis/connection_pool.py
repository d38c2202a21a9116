"""Pool of one link's connections. Runs on asyncio, like redis-py's connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis.exceptions as redis_errors

from store.redis.handshake import is_refusal

#: Idle time (seconds) after which a connection is closed, except the last one.
IDLE_SEC = 10.0


class PooledConnection:
    """Connection with the pool's generation in which it was opened."""

    __slots__ = ("connection", "generation", "idle_since_sec")

    def __init__(self, connection: Any, generation: int) -> None:
        self.connection = connection
        self.generation = generation
        self.idle_since_sec = 0.0


class ConnectionPool:
    """Stack of idle connections: the last used is taken first, so that surplus ones expire and are closed.

    While the server refuses another connection, a command waits for one that is in use, where there is any.

    redis-py's own pool raises beyond its limit, keeps every connection that it opened, and treats one to the
    wrong server as healthy. The caller limits the number in use.
    """

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        """Take `make`, which returns a redis-py asyncio connection that is not connected yet.

        It may raise redis-py's errors.
        """
        self._make = make
        self._idle: list[PooledConnection] = []
        self._taken: set[PooledConnection] = set()
        self._generation = 0
        #: Grows where a connection was lost or retired: the next one may lead to another run of Redis.
        self.losses = 0
        self._waiting = 0
        self._freed = asyncio.Semaphore(0)

    def renew(self) -> None:
        """Retire all present connections; those in use are closed when they are given back.

        Idle ones are closed by the next `take`.
        """
        self._generation += 1
        self.losses += 1

    async def cut(self) -> None:
        """Retire all present connections, and close those in use: what is under way on them fails."""
        self.renew()
        for pooled in tuple(self._taken):
            await pooled.connection.disconnect(nowait=True)

    async def take(self) -> PooledConnection:
        """Return a connected connection, for `give_back` or `discard`.

        Raises redis-py's errors and OSError.
        """
        while True:
            try:
                pooled = await self._idle_one() or await self._new_one()
            except BaseException as error:
                if not is_refusal(error) or not (self._idle or self._taken):
                    self._wake_next()  # which may have waited for this attempt
                    raise
                if not self._idle:
                    await self._next_freed()
            else:
                if pooled.generation == self._generation:
                    self._taken.add(pooled)
                    return pooled
                # Retired while it was being opened.
                await pooled.connection.disconnect(nowait=True)

    async def _next_freed(self) -> None:
        self._waiting += 1
        try:
            await self._freed.acquire()
        finally:
            self._waiting -= 1

    async def _idle_one(self) -> PooledConnection | None:
        while self._idle:
            pooled = self._idle.pop()
            try:
                usable = pooled.generation == self._generation and not await is_stale(pooled.connection)
            except BaseException:
                await pooled.connection.disconnect(nowait=True)
                raise
            if usable:
                return pooled
            self.losses += pooled.generation == self._generation
            await pooled.connection.disconnect(nowait=True)
        return None

    async def _new_one(self) -> PooledConnection:
        generation = self._generation
        pooled = PooledConnection(await self._make(), generation)
        try:
            await pooled.connection.connect()
        except BaseException:
            # A cancelled handshake leaves a reply under way.
            await pooled.connection.disconnect(nowait=True)
            raise
        return pooled

    async def discard(self, pooled: PooledConnection, *, lost: bool = False) -> None:
        """Close a connection that was taken: it was lost, or a reply to it may still come."""
        self.losses += lost
        self._released(pooled)
        await pooled.connection.disconnect(nowait=True)

    def _released(self, pooled: PooledConnection) -> None:
        self._taken.discard(pooled)
        self._wake_next()

    def _wake_next(self) -> None:
        if self._waiting:
            self._freed.release()

    async def give_back(self, pooled: PooledConnection) -> None:
        """Keep a connection whose replies have all been read, and close one that was idle for 10 s."""
        self._released(pooled)
        if pooled.generation != self._generation:
            await pooled.connection.disconnect(nowait=True)
            return
        pooled.idle_since_sec = now_sec = time.monotonic()
        self._idle.append(pooled)
        if now_sec - self._idle[0].idle_since_sec > IDLE_SEC:
            await self._idle.pop(0).connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        self.renew()
        while self._idle:
            await self._idle.pop().connection.disconnect(nowait=True)


async def is_stale(connection: Any) -> bool:
    """Return True if it was closed, or holds an unread reply to an earlier command."""
    try:
        return bool(await connection.can_read())
    except (redis_errors.RedisError, OSError):
        return True
