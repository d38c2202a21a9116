"""Redis client on the trio-asyncio bridge, with a deadline for every call and errors of `store.errors`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import redis.asyncio as aioredis
import redis.exceptions as redis_errors
import trio
from hiredis import pack_command
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from permit_gate.bridge import trio_asyncio
from store.errors import (
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    WrongRightsError,
    WrongServerError,
)
from store.redis.connection_pool import ConnectionPool, PooledConnection
from store.redis.errors import translate
from store.redis.handshake import is_refusal, quoting_refusals
from store.redis.held_connection import HeldConnection
from store.redis.sentinels import OneServer, SentinelPrimary, Servers, read_sentinel_address
from store.redis.server_mode import shake_hands

T = TypeVar("T")
Command = Sequence[bytes | str | int | float]

#: Redis runs one command at a time: more connections in use at once do not make it faster.
MOST_CONNECTIONS = 16

# hiredis's own annotation has only tuples of one.
_pack: Any = pack_command

_SCRIPTS = ("EVALSHA", "EVAL")
_AT_CONNECTING = "HELLO, AUTH or SELECT"


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Add the key to a refusal's text, which Redis leaves out."""
    try:
        yield
    except (StoreRefusedError, WrongRightsError) as error:
        raise type(error)(f"{key}: {error}") from error


class RedisLink:
    """Client for one purpose, so that a blocking read never delays a write.

    At most `most` commands or pipelines are under way at once; others queue, within their
    deadline. After an answer of the wrong server (a demoted primary keeps its connections), that connection
    and all older ones are closed: the next command resolves the address again.

    redis-py's own retries are off: a retried write may run twice, and a dead server would take seconds to
    report. So is its socket timeout: it sends under `asyncio.wait_for`, which up to Python 3.11 swallows a
    cancellation that comes as the sending ends, and trio-asyncio cancels only once. Every call has a Trio
    deadline instead, which also covers a server that accepts and is silent.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_sec: float,
        beside: RedisLink | None = None,
        most: int = MOST_CONNECTIONS,
        **tls: Any,
    ) -> None:
        """Take `beside`, a link to the same address: both use the same server, and move at the same time."""
        self.address = _without_credentials(url)
        self._timeout_sec = timeout_sec
        options = {
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": timeout_sec,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
            "decode_responses": False,
            **tls,
        }
        sentinels = read_sentinel_address(url)
        server_url = sentinels.server if sentinels else url
        client = aioredis.Redis.from_url(server_url, protocol=3, redis_connect_func=shake_hands, **options)
        #: Creates connections from the URL; its own pool is not used.
        self._factory: Any = client.connection_pool
        self._user = str(self._factory.connection_kwargs.get("username") or "default")
        self._servers: Servers = (
            beside._servers if beside else SentinelPrimary(sentinels, **options) if sentinels else OneServer()
        )
        self._pool = ConnectionPool(self._connection)
        self._servers.on_move(self._pool.cut)
        self._free = trio.Semaphore(most)
        #: redis-py's reply parsers, by command.
        self._readers: dict[Any, Callable[[Any], Any]] = dict(client.response_callbacks)
        # Parsed by `store/redis/replies.py` in half the time.
        del self._readers["XREADGROUP"]

    @property
    def losses(self) -> int:
        """Count of lost and retired connections: the next one may lead to another run of Redis."""
        return self._pool.losses

    async def command(self, *arguments: bytes | str | int | float, losses: int | None = None) -> Any:
        """Send one command and return its reply. Raises StoreError.

        `losses`: send nothing, and raise StoreUnavailableError, if connections were lost since that count.
        """
        return await self._across(partial(self._execute, losses), *arguments)

    async def pipeline(self, commands: Sequence[Command], *, losses: int | None = None) -> list[Any]:
        """Send commands in one round trip, without a transaction; return a reply or a StoreError for each.

        Raises StoreUnavailableError when one of the replies is that. `losses`: as of `command`.
        """
        answers: list[Any] = await self._across(self._execute_all, commands, losses)
        for answer in answers:
            if isinstance(answer, StoreUnavailableError):
                raise answer
        return answers

    async def _execute(self, losses: int | None, *arguments: bytes | str | int | float) -> Any:
        (answer,) = await self._execute_all([arguments], losses)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    async def _execute_all(self, commands: Sequence[Command], losses: int | None = None) -> list[Any]:
        """Run redis-py's pipeline without its retries and statistics, packed by hiredis."""
        if not commands:
            return []
        packed = b"".join(map(_pack, commands))
        answers: list[Any] = []
        self._servers.look()
        moves = self._servers.moves
        pooled = await self._take(moves)
        if losses is not None and losses != self._pool.losses:
            await self._pool.give_back(pooled)
            raise StoreUnavailableError("connections to Redis were lost since its run was compared")
        connection = pooled.connection
        try:
            await connection.send_packed_command(packed)
            for command in commands:
                try:
                    answer = await connection.read_response()
                except redis_errors.ResponseError as error:
                    answer = self._translated(error, command, moves)
                else:
                    read = self._readers.get(command[0])
                    answer = answer if read is None else read(answer)
                answers.append(answer)
        except redis_errors.RedisError as error:
            await self._pool.discard(pooled, lost=True)
            self._servers.failed(moves)
            raise self._translated(error, commands[len(answers)], moves) from error
        except BaseException:
            # Its replies may still come: the next command must not read them as its own.
            await self._pool.discard(pooled)
            raise
        await self._pool.give_back(pooled)
        return answers

    @asynccontextmanager
    async def held(self) -> AsyncIterator[HeldConnection]:
        """Take a connection for the length of a block, for what the server sends by itself; then close it.

        It ends early where the Sentinels name another primary.
        """
        moves = self._servers.moves
        pooled = await self._across(self._take, moves)
        try:
            held = HeldConnection(pooled.connection, partial(self._failed, moves), self._timeout_sec)
            try:
                yield held
            finally:
                with trio.CancelScope(shield=True):
                    await trio_asyncio.aio_as_trio(held.stop)()
        finally:
            with trio.CancelScope(shield=True):
                await trio_asyncio.aio_as_trio(self._pool.discard)(pooled)

    def _failed(self, moves: int, error: redis_errors.RedisError, command: Command) -> StoreError:
        if not isinstance(error, redis_errors.ResponseError):
            self._servers.failed(moves)
        return self._translated(error, command, moves)

    async def _take(self, moves: int) -> PooledConnection:
        try:
            return await self._pool.take()
        except redis_errors.RedisError as error:
            if not is_refusal(error):
                self._servers.failed(moves)
            refusal = self._translated(error, (_AT_CONNECTING,), moves)
            if isinstance(refusal, StoreRefusedError):
                # An error before any command was sent: of a proxy, or of protected mode.
                refusal = StoreUnavailableError(str(refusal))
            raise refusal from error

    def _translated(self, error: redis_errors.RedisError, command: Command, moves: int) -> StoreError:
        """Return the StoreError for a Redis error; renew the pool when the error means a wrong server."""
        ours = translate(error, user=self._user, doing=_shown(command))
        ours.__cause__ = error
        if isinstance(ours, WrongServerError):
            self._renew(moves)
        return ours

    async def _connection(self) -> Any:
        return quoting_refusals(await self._servers.connection(self._factory))

    def _renew(self, moves: int) -> None:
        self._pool.renew()
        self._servers.failed(moves)

    async def close(self) -> None:
        """Close the connections."""
        try:
            await self._across(self._pool.close)
        finally:
            with trio.CancelScope(shield=True):
                await trio_asyncio.aio_as_trio(self._servers.close)()

    async def _across(self, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        moves = self._servers.moves
        try:
            with trio.fail_after(self._timeout_sec):
                try:
                    self._free.acquire_nowait()
                except trio.WouldBlock:
                    await self._free.acquire()
                try:
                    loop = trio_asyncio.current_loop.get()
                    return await loop.run_aio_coroutine(call(*arguments))  # type: ignore[no-any-return]
                finally:
                    self._free.release()
        except trio.TooSlowError as error:
            # A server that vanished without closing answers on none of its connections.
            self._renew(moves)
            raise StoreUnavailableError(f"no answer within {self._timeout_sec:g} s") from error
        except OSError as error:
            raise StoreUnavailableError(str(error)) from error


def _without_credentials(url: str) -> str:
    # Not by urlsplit, which in newer versions of Python refuses IPv6 addresses in a list of hosts.
    scheme, _, rest = url.partition("?")[0].partition("://")
    servers, slash, path = rest.partition("/")
    return f"{scheme}://{servers.rpartition('@')[2]}{slash}{path}"


def _shown(command: Command) -> str:
    """Return a command's name as in Redis's ACLs, with its key or subcommand, without values and scripts."""
    name = str(command[0])
    if name in _SCRIPTS:
        return "a command of a script"
    return " ".join(str(part) for part in command[:2])
