"""One Redis client behind the trio-asyncio bridge: a deadline around every call, and our own errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis.asyncio as aioredis
import redis.exceptions as redis_errors
import trio
import trio_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from store.errors import FencedError, GroupLostError, StoreError, StoreRefusedError, StoreUnavailableError

T = TypeVar("T")

# What a Redis says that is there but cannot serve: loading, a replica, full, not persisting, busy.
_UNAVAILABLE = ("LOADING", "READONLY", "OOM ", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY ", "TRYAGAIN")
_GROUP_LOST = ("NOGROUP", "UNBLOCKED")


def translate(error: redis_errors.RedisError) -> StoreError:
    """Our error for one of redis-py's.

    A script's errors come wrapped in text that differs between Redis versions, so the code is looked for
    anywhere in it.
    """
    text = str(error)
    if isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError)):
        return StoreUnavailableError(text)
    if "FENCED" in text:
        return FencedError(text)
    if any(code in text for code in _GROUP_LOST):
        return GroupLostError(text)
    if isinstance(error, (redis_errors.OutOfMemoryError, redis_errors.ReadOnlyError)) or any(
        code in text for code in _UNAVAILABLE
    ):
        return StoreUnavailableError(text)
    return StoreRefusedError(text)


class RedisLink:
    """A client for one purpose: blocking reads never wait in line with writes.

    redis-py's own retries are off (a retried write may run twice, and a dead server would take seconds to
    report); every call has a trio deadline instead, which also covers a server that accepts and is silent.
    """

    def __init__(self, url: str, *, timeout_sec: float, **tls: Any) -> None:
        self._timeout_sec = timeout_sec
        self._client = aioredis.Redis.from_url(
            url,
            protocol=3,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_sec,
            socket_connect_timeout=timeout_sec,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            decode_responses=False,
            **tls,
        )

    async def command(self, *arguments: bytes | str | int | float) -> Any:
        """Send one command and wait for its answer."""
        return await self._across(self._client.execute_command, *arguments)

    async def pipeline(self, commands: list[tuple[bytes | str | int | float, ...]]) -> list[Any]:
        """Send commands in one go (no transaction); an answer or a redis error object for each."""
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        answers: list[Any] = await self._across(pipe.execute, False)
        for answer in answers:
            if isinstance(answer, redis_errors.RedisError):
                error = translate(answer)
                if isinstance(error, StoreUnavailableError):
                    raise error from answer
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
