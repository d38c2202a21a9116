"""Changes of permits, pushed by Redis on a connection of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from store.errors import StoreRefusedError, StoreUnavailableError, WrongRightsError
from store.execution_values import plan_ids
from store.redis.client import RedisLink
from store.redis.held_connection import HeldConnection

#: Silence after which the server is asked whether it is still there, and the most that its answer takes.
_SILENCE_SEC = 1.0


class RedisPermitChanges:
    """As `store.execution_protocol.PermitChanges`. A server that is gone without a word shows after 2 s."""

    def __init__(self, connection: HeldConnection, prefixes: tuple[str, ...]) -> None:
        self._connection = connection
        self._prefixes = prefixes

    async def next(self) -> frozenset[str]:
        asked = False
        while True:
            match await self._connection.read(_SILENCE_SEC):
                case None if asked:
                    raise StoreUnavailableError(f"no answer within {_SILENCE_SEC:g} s")
                case None:
                    await self._connection.send("PING")
                    asked = True
                case [b"invalidate", list(changed)]:
                    return plan_ids(self._prefixes, [key.decode(errors="replace") for key in changed])
                case [b"invalidate", None]:
                    return frozenset()
                case _:
                    asked = False


@asynccontextmanager
async def permit_changes(link: RedisLink, prefixes: tuple[str, ...]) -> AsyncIterator[RedisPermitChanges]:
    """Open a connection on which the server pushes changes of the keys that begin with one of `prefixes`."""
    named = [argument for prefix in prefixes for argument in ["PREFIX", prefix]]
    async with link.held() as connection:
        await connection.send("CLIENT", "TRACKING", "ON", "BCAST", *named)
        try:
            answer = await connection.read(_SILENCE_SEC)
        except WrongRightsError as error:
            raise StoreRefusedError(str(error)) from error
        if answer is None:
            raise StoreUnavailableError(f"no answer within {_SILENCE_SEC:g} s")
        yield RedisPermitChanges(connection, prefixes)
