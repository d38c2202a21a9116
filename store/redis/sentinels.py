"""Redis servers behind an address: one, or the primary that Sentinels name at each new connection."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode

import redis.asyncio as aioredis
import redis.exceptions as redis_errors

from store.redis.errors import translate

#: Most time for the answer of one Sentinel (seconds): the deadline of a command leaves time for the next one.
ASK_SEC = 0.25
#: Time between two comparisons of the primary in use with the one that the Sentinels name (seconds).
LOOK_SEC = 1.0

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

    def look(self, moved: Callable[[], None]) -> None:
        """Begin to find out whether another server is to be used, and call `moved` then. At each command."""

    def close(self) -> None:
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

    def look(self, moved: Callable[[], None]) -> None:
        """Do nothing: the address says nothing of a move."""

    def close(self) -> None:
        """Do nothing."""


class SentinelPrimary:
    """Primary of a service, which the Sentinels are asked for, one after the other, before each connection.

    The one that answered is asked first the next time, until the server that it named fails: a Sentinel that
    is cut off from the others goes on naming the old primary.

    After a planned failover the old primary takes writes, which are lost, until the Sentinels demote it 8 s
    later: so they are asked each second as well, beside the commands.
    """

    def __init__(self, address: SentinelAddress, factory: Any, **options: Any) -> None:
        """Take `factory`, a connection pool of redis-py, and `options` of connections to Sentinels."""
        self._factory = factory
        self._service = address.service
        self._in_use: tuple[str, int] | None = None
        self._looked_sec = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._asked_in_turn: dict[str, Any] = {
            host: aioredis.Redis.from_url(url, protocol=2, db=0, **options).connection_pool
            for host, url in address.sentinels.items()
        }

    async def connection(self) -> Any:
        self._in_use = host, port = await self._primary()
        self._looked_sec = time.monotonic()
        factory = self._factory
        return factory.connection_class(**factory.connection_kwargs | {"host": host, "port": port})

    def failed(self) -> None:
        """Ask another Sentinel first."""
        self._ask_last(next(iter(self._asked_in_turn)))

    def look(self, moved: Callable[[], None]) -> None:
        now_sec = time.monotonic()
        if now_sec - self._looked_sec >= LOOK_SEC and (self._looking is None or self._looking.done()):
            self._looked_sec = now_sec
            self._looking = asyncio.create_task(self._compare(moved))

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _compare(self, moved: Callable[[], None]) -> None:
        in_use = self._in_use
        # Without an answer the present server is as good as before.
        with suppress(redis_errors.RedisError):
            if await self._primary() != in_use == self._in_use:
                moved()

    async def _primary(self) -> tuple[str, int]:
        said = []
        for host, sentinel in tuple(self._asked_in_turn.items()):
            found = None
            try:
                async with asyncio.timeout(ASK_SEC):
                    found = await self._ask(sentinel.make_connection())
            except TimeoutError:
                said.append(f"{host}: no answer within {ASK_SEC:g} s")
            except redis_errors.RedisError as error:
                said.append(f"{host}: {translate(error)}")
            else:
                if found is not None:
                    return found
                said.append(f"{host} does not know it")
            finally:
                if found is None:
                    self._ask_last(host)
        raise redis_errors.ConnectionError(
            f"no Sentinel names the primary of {self._service}: {'; '.join(said)}"
        )

    async def _ask(self, connection: Any) -> tuple[str, int] | None:
        try:
            await connection.connect()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            answer = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
        return None if answer is None else (answer[0].decode(), int(answer[1]))

    def _ask_last(self, host: str) -> None:
        self._asked_in_turn[host] = self._asked_in_turn.pop(host)
