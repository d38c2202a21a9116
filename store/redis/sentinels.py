"""Redis servers behind an address: one, or the primary that Sentinels name at each new connection."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode

import redis.asyncio as aioredis
import redis.exceptions as redis_errors

from store.redis.connection_pool import is_stale
from store.redis.errors import translate

#: Most time for the answer of one Sentinel (seconds): the deadline of a command leaves time for the next one.
ASK_SEC = 0.25
#: Time between two comparisons of the primary in use with the one that the Sentinels name (seconds).
LOOK_SEC = 1.0
#: Time for which an answer serves further connections (seconds).
_FRESH_SEC = 0.1

_ADDRESS = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<login>[^@/]*@)?(?P<hosts>[^@/]+)/(?P<service>[^/?]+)/(?P<db>[0-9]+)"
    r"(?:\?(?P<options>.*))?"
)


class SentinelAddress(NamedTuple):
    """`redis+sentinel://…` in parts that redis-py takes: URLs of the Sentinels, and of a server.

    The server's host is none: the Sentinels name it. TLS and its options are those of both.
    """

    sentinels: Mapping[str, str]
    service: str
    server: str


def read_sentinel_address(url: str) -> SentinelAddress | None:
    """Take an address apart that the settings have accepted; return None for that of one server."""
    parts = _ADDRESS.fullmatch(url)
    if parts is None:
        return None
    options = dict(parse_qsl(parts["options"] or ""))
    login = {
        name: value
        for name in ("username", "password")
        if (value := options.pop(f"sentinel_{name}", None)) is not None
    }
    tls, own = urlencode(options), urlencode(options | login)
    return SentinelAddress(
        {host: f"{parts['scheme']}://{host}?{own}" for host in parts["hosts"].split(",")},
        parts["service"],
        f"{parts['scheme']}://{parts['login'] or ''}sentinels.invalid/{parts['db']}?{tls}",
    )


class Servers(Protocol):
    """Source of a link's connections."""

    async def connection(self) -> Any:
        """Return a redis-py connection that is not connected yet. Raises redis-py's errors."""

    def failed(self) -> None:
        """Record that the server was the wrong one, or silent."""

    def look(self) -> None:
        """Begin to find out, beside a command, whether another server is to be used."""

    async def close(self) -> None:
        """Stop looking."""


class OneServer:
    """Server at a plain address."""

    def __init__(self, factory: Any) -> None:
        """Take `factory`, a connection pool of redis-py."""
        self._factory = factory

    async def connection(self) -> Any:
        return self._factory.make_connection()

    def failed(self) -> None:
        """Do nothing: the next connection resolves the address again."""

    def look(self) -> None:
        """Do nothing: the address says nothing of a move."""

    async def close(self) -> None:
        """Do nothing."""


class SentinelPrimary:
    """Primary of a service, which the Sentinels are asked for, one after the other, before each connection.

    The one that answered is asked first the next time, until the server that it named fails: a Sentinel that
    is cut off from the others goes on naming the old primary.

    After a planned failover the old primary takes writes, which are lost, until the Sentinels demote it 8 s
    later: so they are asked each second as well, beside the commands. When they name another primary, what is
    under way fails, as it does when a server dies: only then do actors look whether it is another Redis.
    """

    def __init__(
        self, address: SentinelAddress, factory: Any, moved: Callable[[], Awaitable[None]], **options: Any
    ) -> None:
        """Take `factory`, a connection pool of redis-py, and `options` of connections to Sentinels.

        `moved` ends the connections to the old primary.
        """
        self._moved = moved
        self._fresh = False
        self._factory = factory
        self._service = address.service
        self._in_use: tuple[str, int] | None = None
        self._answered_sec = self._looked_sec = time.monotonic()
        self._asking = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._asked_in_turn: dict[str, Any] = {}
        for host, url in address.sentinels.items():
            client = aioredis.Redis.from_url(url, protocol=2, driver_info=None, **options)
            self._asked_in_turn[host] = client.connection_pool.connection_class(
                **client.connection_pool.connection_kwargs
            )

    async def connection(self) -> Any:
        async with self._asking:
            address = self._in_use
            old = time.monotonic() - self._answered_sec > _FRESH_SEC
            if address is None or old or not self._fresh:
                address = await self._compare()
        factory = self._factory
        return factory.connection_class(
            **factory.connection_kwargs | dict(zip(("host", "port"), address, strict=True))
        )

    def failed(self) -> None:
        """Ask again, and another Sentinel first."""
        self._fresh = False
        self._ask_last(next(iter(self._asked_in_turn)))

    def look(self) -> None:
        now_sec = time.monotonic()
        if now_sec - self._looked_sec >= LOOK_SEC and (self._looking is None or self._looking.done()):
            self._looked_sec = now_sec
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for connection in self._asked_in_turn.values():
            await connection.disconnect(nowait=True)

    async def _look(self) -> None:
        # Without an answer the present server is as good as before.
        async with self._asking:
            with suppress(redis_errors.RedisError):
                await self._compare()

    async def _compare(self) -> tuple[str, int]:
        before, named = self._in_use, await self._ask()
        self._in_use = named
        self._fresh, self._answered_sec = True, time.monotonic()
        if before is not None and named != before:
            await self._moved()
            raise redis_errors.ConnectionError("the Sentinels name another primary")
        return named

    async def _ask(self) -> tuple[str, int]:
        said = []
        for host, sentinel in tuple(self._asked_in_turn.items()):
            found = None
            try:
                async with asyncio.timeout(ASK_SEC):
                    found = await self._ask_one(sentinel)
            except TimeoutError:
                said.append(f"{host}: no answer within {ASK_SEC:g} s")
            except redis_errors.RedisError as error:
                said.append(f"{host}: {translate(error, user=sentinel.username, doing='SENTINEL')}")
            else:
                if found is not None:
                    return found
                said.append(f"{host} does not know it")
            finally:
                if found is None:
                    await sentinel.disconnect(nowait=True)
                    self._ask_last(host)
        listed = "; ".join(said)
        raise redis_errors.ConnectionError(f"no Sentinel names the primary of {self._service}: {listed}")

    async def _ask_one(self, sentinel: Any) -> tuple[str, int] | None:
        if sentinel.is_connected and await is_stale(sentinel):
            await sentinel.disconnect(nowait=True)
        await sentinel.connect()
        await sentinel.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        answer = await sentinel.read_response()
        return None if answer is None else (answer[0].decode(), int(answer[1]))

    def _ask_last(self, host: str) -> None:
        self._asked_in_turn[host] = self._asked_in_turn.pop(host)
