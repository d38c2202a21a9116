"""One Redis client behind the trio-asyncio bridge: a deadline around every call, and our own errors."""

from __future__ import annotations

import re
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
    FencedError,
    GroupLostError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    WrongTypeError,
)

T = TypeVar("T")

# hiredis's own annotation knows only tuples of one.
_pack: Any = pack_command

# What a Redis says that is there but cannot serve: loading, a replica, full, not persisting, busy.
_UNAVAILABLE = frozenset(
    {"LOADING", "READONLY", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN"}
)

# Redis 6.2 wraps what a command in a script says; 7.0 puts the script behind it.
_CODE = re.compile(
    r"(?:Error running script \(call to f_[0-9a-f]+\): @user_script:\d+: (?:@user_script: \d+: -)?)?([A-Z]+) "
)


def translate(error: redis_errors.RedisError) -> StoreError:
    """Our error for one of redis-py's.

    Only the code counts: what follows it may quote a plan id, which may read like anything.
    """
    text, code = str(error), _code(error)
    if isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError)) or code in _UNAVAILABLE:
        return StoreUnavailableError(text)
    if code == "FENCED":
        return FencedError(text)
    if code == "NOGROUP":
        return GroupLostError(text)
    if code == "UNBLOCKED":
        # A primary that becomes a replica ends blocked reads too, and its streams are still there.
        return (GroupLostError if "no longer exists" in text else StoreUnavailableError)(text)
    return (WrongTypeError if code == "WRONGTYPE" else StoreRefusedError)(text)


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Let a refusal say which key it is about: Redis does not."""
    try:
        yield
    except StoreRefusedError as error:
        raise type(error)(f"{key}: {error}") from error


def _code(error: redis_errors.RedisError) -> str:
    """The error's first word. redis-py cuts those that it knows off the text."""
    told = getattr(error, "status_code", None)
    if isinstance(told, str) and told != "ERR":
        return told
    found = _CODE.match(str(error))
    return found[1] if found else ""


class RedisLink:
    """A client for one purpose: blocking reads never wait in line with writes.

    redis-py's own retries are off (a retried write may run twice, and a dead server would take seconds to
    report), and so is its socket timeout: it sends under `asyncio.wait_for`, which up to Python 3.11 swallows
    a cancellation that comes as the sending ends, and trio-asyncio cancels only once. Every call has a trio
    deadline instead, which also covers a server that accepts and is silent.
    """

    def __init__(self, url: str, *, timeout_sec: float, **tls: Any) -> None:
        self._timeout_sec = timeout_sec
        self._client = aioredis.Redis.from_url(
            url,
            protocol=3,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=timeout_sec,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            decode_responses=False,
            **tls,
        )
        #: The client's own readers of answers, by command.
        self._readers: dict[Any, Callable[[Any], Any]] = dict(self._client.response_callbacks)
        # Read by `store/replies.py`, which takes half the time.
        del self._readers["XREADGROUP"]

    async def command(self, *arguments: bytes | str | int | float) -> Any:
        """Send one command and wait for its answer."""
        return await self._across(self._execute, *arguments)

    async def pipeline(self, commands: list[tuple[bytes | str | int | float, ...]]) -> list[Any]:
        """Send commands in one go (no transaction); an answer or a redis error object for each."""
        answers: list[Any] = await self._across(self._execute_all, commands)
        for answer in answers:
            if isinstance(answer, redis_errors.RedisError):
                error = translate(answer)
                if isinstance(error, StoreUnavailableError):
                    raise error from answer
        return answers

    async def _execute(self, *arguments: bytes | str | int | float) -> Any:
        answer = (await self._execute_all([arguments]))[0]
        if isinstance(answer, redis_errors.ResponseError):
            raise answer
        return answer

    async def _execute_all(self, commands: Sequence[tuple[bytes | str | int | float, ...]]) -> list[Any]:
        """The client's pipeline without its retries and statistics, and packed by hiredis."""
        if not commands:
            return []
        pool: Any = self._client.connection_pool
        packed = b"".join(map(_pack, commands))
        answers: list[Any] = []
        connection = await pool.get_connection()
        try:
            await connection.send_packed_command(packed)
            for command in commands:
                try:
                    answer = await connection.read_response()
                except redis_errors.ResponseError as error:
                    answer = error
                else:
                    read = self._readers.get(command[0])
                    answer = answer if read is None else read(answer)
                answers.append(answer)
        except BaseException:
            # Its answers may still come: nobody else is to take them for theirs.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)
        return answers

    async def close(self) -> None:
        """Close the connections."""
        await self._across(self._client.aclose)

    async def _across(self, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        try:
            with trio.fail_after(self._timeout_sec):
                return await trio_asyncio.aio_as_trio(call)(*arguments)  # type: ignore[no-any-return]
        except trio.TooSlowError as error:
            raise StoreUnavailableError(f"no answer within {self._timeout_sec:g} s") from error
        except redis_errors.RedisError as error:
            raise translate(error) from error
        except OSError as error:
            raise StoreUnavailableError(str(error)) from error
