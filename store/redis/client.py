"""One Redis client behind the trio-asyncio bridge: a deadline around every call, and our own errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import redis.asyncio as aioredis
import redis.exceptions as redis_errors
import trio
import trio_asyncio
from hiredis import pack_command
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from store.errors import (
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    WrongRightsError,
    WrongServerError,
)
from store.redis.connection_pool import ConnectionPool
from store.redis.errors import translate

T = TypeVar("T")
Command = Sequence[bytes | str | int | float]

#: Redis works off one command after the other: more connections at once would not make it faster.
MOST_CONNECTIONS = 16

# hiredis's own annotation knows only tuples of one.
_pack: Any = pack_command

_SCRIPTS = ("EVALSHA", "EVAL")
_AT_CONNECTING = "HELLO, AUTH or SELECT"


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Let a refusal say which key it is about: Redis does not."""
    try:
        yield
    except (StoreRefusedError, WrongRightsError) as error:
        raise type(error)(f"{key}: {error}") from error


class RedisLink:
    """A client for one purpose: blocking reads never wait in line with writes.

    At most `MOST_CONNECTIONS` commands or pipelines are under way at once; the others wait their turn, within
    their deadline. A connection that leads to the wrong server (a demoted primary keeps its connections) is
    closed, and so are all others of before: the next command connects anew, to where the address leads then.

    redis-py's own retries are off (a retried write may run twice, and a dead server would take seconds to
    report), and so is its socket timeout: it sends under `asyncio.wait_for`, which up to Python 3.11 swallows
    a cancellation that comes as the sending ends, and trio-asyncio cancels only once. Every call has a trio
    deadline instead, which also covers a server that accepts and is silent.
    """

    def __init__(self, url: str, *, timeout_sec: float, **tls: Any) -> None:
        self._timeout_sec = timeout_sec
        client = aioredis.Redis.from_url(
            url,
            protocol=3,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=timeout_sec,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            decode_responses=False,
            **tls,
        )
        #: Makes connections as the URL says; its own pool is not used.
        factory: Any = client.connection_pool
        self._user = str(factory.connection_kwargs.get("username") or "default")
        self._pool = ConnectionPool(factory.make_connection)
        self._free = trio.Semaphore(MOST_CONNECTIONS)
        #: The client's own readers of answers, by command.
        self._readers: dict[Any, Callable[[Any], Any]] = dict(client.response_callbacks)
        # Read by `store/redis/replies.py`, which takes half the time.
        del self._readers["XREADGROUP"]

    async def command(self, *arguments: bytes | str | int | float) -> Any:
        """Send one command and wait for its answer. Raises StoreError."""
        return await self._across(self._execute, *arguments)

    async def pipeline(self, commands: list[tuple[bytes | str | int | float, ...]]) -> list[Any]:
        """Send commands in one go (no transaction); an answer or a StoreError object for each.

        Raises StoreUnavailableError when the answer to one of them is that.
        """
        answers: list[Any] = await self._across(self._execute_all, commands)
        for answer in answers:
            if isinstance(answer, StoreUnavailableError):
                raise answer
        return answers

    async def _execute(self, *arguments: bytes | str | int | float) -> Any:
        answer = (await self._execute_all([arguments]))[0]
        if isinstance(answer, StoreError):
            raise answer
        return answer

    async def _execute_all(self, commands: Sequence[Command]) -> list[Any]:
        """The client's pipeline without its retries and statistics, and packed by hiredis."""
        if not commands:
            return []
        packed = b"".join(map(_pack, commands))
        answers: list[Any] = []
        try:
            pooled = await self._pool.take()
        except redis_errors.RedisError as error:
            refusal = self._translated(error, (_AT_CONNECTING,))
            if isinstance(refusal, StoreRefusedError):
                # Whatever it says, it is about no command of ours: a proxy's word, protected mode.
                refusal = StoreUnavailableError(str(refusal))
            raise refusal from error
        connection = pooled.connection
        try:
            await connection.send_packed_command(packed)
            for command in commands:
                try:
                    answer = await connection.read_response()
                except redis_errors.ResponseError as error:
                    answer = self._translated(error, command)
                else:
                    read = self._readers.get(command[0])
                    answer = answer if read is None else read(answer)
                answers.append(answer)
        except redis_errors.RedisError as error:
            await connection.disconnect(nowait=True)
            raise self._translated(error, commands[len(answers)]) from error
        except BaseException:
            # Its answers may still come: nobody else is to take them for theirs.
            await connection.disconnect(nowait=True)
            raise
        await self._pool.give_back(pooled)
        return answers

    def _translated(self, error: redis_errors.RedisError, command: Command) -> StoreError:
        """Return our error, with Redis's as its cause; what it says of the server is remembered."""
        ours = translate(error, user=self._user, doing=_shown(command))
        ours.__cause__ = error
        if isinstance(ours, WrongServerError):
            self._pool.renew()
        return ours

    async def close(self) -> None:
        """Close the connections."""
        await self._across(self._pool.close)

    async def _across(self, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        try:
            with trio.fail_after(self._timeout_sec):
                try:
                    self._free.acquire_nowait()
                except trio.WouldBlock:
                    await self._free.acquire()
                try:
                    return await trio_asyncio.aio_as_trio(call)(*arguments)  # type: ignore[no-any-return]
                finally:
                    self._free.release()
        except trio.TooSlowError as error:
            # A server that has gone without a word answers on none of its connections.
            self._pool.renew()
            raise StoreUnavailableError(f"no answer within {self._timeout_sec:g} s") from error
        except OSError as error:
            raise StoreUnavailableError(str(error)) from error


def _shown(command: Command) -> str:
    """The command as its user's rights name it, with its key or subcommand; no values, and no script."""
    name = str(command[0])
    if name in _SCRIPTS:
        return "a command of a script"
    return " ".join(str(part) for part in command[:2])
