"""Redis servers behind an address: one, or the primary that most Sentinels name at each new connection."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode

import redis.asyncio as aioredis
import redis.exceptions as redis_errors

from store.redis.connection_pool import is_stale
from store.redis.errors import translate

#: Most time that a command waits for the answers of the Sentinels, which are asked at once (seconds).
ASK_SEC = 0.5
#: Most time for a Sentinel to be connected to and to answer, beside the commands (seconds).
CONNECT_SEC = 2.0
#: Time between two comparisons of the primary in use with the one that the Sentinels name (seconds).
LOOK_SEC = 1.0
#: Time for which an answer serves further connections (seconds).
_FRESH_SEC = 0.1

#: Host and port of a server, as Sentinels name it.
Address = tuple[str, int]

_PORT = re.compile(rb"[0-9]{1,5}")
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
    options = dict(parse_qsl((parts["options"] or "").replace("+", "%2B")))
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
    """Source of connections for the links to one address."""

    @property
    def moves(self) -> int:
        """Count of changes from one server to another."""

    async def connection(self, factory: Any) -> Any:
        """Return a connection as `factory`, a pool of redis-py, makes it, not connected yet.

        Raises redis-py's errors.
        """

    def failed(self, moves: int) -> None:
        """Record that the server was away, wrong, or silent, in a command that began after so many moves."""

    def look(self) -> None:
        """Begin to find out, beside a command, whether another server is to be used."""

    def on_move(self, cut: Callable[[], Awaitable[None]]) -> None:
        """Call `cut`, which ends a link's connections, at each move, after those that were given earlier."""

    async def close(self) -> None:
        """Stop looking."""


class OneServer:
    """Server at a plain address."""

    moves = 0

    async def connection(self, factory: Any) -> Any:
        return factory.make_connection()

    def failed(self, moves: int) -> None:
        """Do nothing: the next connection resolves the address again."""

    def look(self) -> None:
        """Do nothing: the address says nothing of a move."""

    def on_move(self, cut: Callable[[], Awaitable[None]]) -> None:
        """Do nothing, as in `look`."""

    async def close(self) -> None:
        """Do nothing."""


class _Sentinel:
    """Sentinel with a connection, and its answer to the latest question.

    A question goes on when the command that asked stops waiting, so that a connection which takes longer than
    that, over TLS from far away, serves the next command. Until then no further question is sent.
    """

    def __init__(self, host: str, url: str, service: str, **options: Any) -> None:
        pool: Any = aioredis.Redis.from_url(url, protocol=2, driver_info=None, **options).connection_pool
        self._connection = pool.connection_class(**pool.connection_kwargs)
        self._host = host
        self._service = service
        self._question: asyncio.Task[None] | None = None
        self.named: Address | None = None
        #: Why it names no server.
        self.said = ""

    def ask(self) -> asyncio.Task[None] | None:
        """Begin to ask; return None while the answer to an earlier question is still to come."""
        if self._question is not None and not self._question.done():
            return None
        self.named, self.said = None, f"{self._host}: no answer within {ASK_SEC:g} s"
        self._question = asyncio.create_task(self._ask())
        return self._question

    async def close(self) -> None:
        if self._question is not None:
            self._question.cancel()
        await self._connection.disconnect(nowait=True)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SEC):
                self.named = _read_address(await self._answer())
        except redis_errors.RedisError as error:
            self.said = f"{self._host}: {translate(error, user=self._connection.username, doing='SENTINEL')}"
        except OSError as error:
            self.said = f"{self._host}: {str(error) or f'no answer within {CONNECT_SEC:g} s'}"
        else:
            self.said = f"{self._host} does not know it"
            return
        await self._connection.disconnect(nowait=True)

    async def _answer(self) -> object:
        connection = self._connection
        if connection.is_connected and await is_stale(connection):
            await connection.disconnect(nowait=True)
        await connection.connect()
        await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        return await connection.read_response()


class SentinelPrimary:
    """Primary of a service, which all its Sentinels are asked for at once before each connection.

    The address that most of them name is used: one that is cut off from the others goes on naming the old
    primary. Where fewer than that agree or answer, the present server is as good as before, unless it failed:
    then it is the one that is named most often, of two the other one.

    After a planned failover the old primary takes writes, which are lost, until the Sentinels demote it 8 s
    later: so they are asked each second as well, beside the commands. When they name another primary, what is
    under way fails, as it does when a server dies: only then do actors look whether it is another Redis.
    """

    def __init__(self, address: SentinelAddress, **options: Any) -> None:
        """Take `options` of connections to Sentinels."""
        self.moves = 0
        self._cuts: list[Callable[[], Awaitable[None]]] = []
        self._service = address.service
        self._in_use: Address | None = None
        self._failed = False
        self._answered_sec = self._looked_sec = time.monotonic()
        self._asking = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._sentinels = [
            _Sentinel(host, url, address.service, **options) for host, url in address.sentinels.items()
        ]

    async def connection(self, factory: Any) -> Any:
        moves = self.moves
        async with self._asking:
            if self._in_use is None or self._failed or time.monotonic() - self._answered_sec > _FRESH_SEC:
                await self._compare()
        if self.moves != moves:
            raise redis_errors.ConnectionError("the Sentinels name another primary")
        if self._in_use is None or self._failed:
            raise self._unknown()
        host, port = self._in_use
        return factory.connection_class(**factory.connection_kwargs | {"host": host, "port": port})

    def failed(self, moves: int) -> None:
        """Ask again, unless there was another move: then the failure is that of an old server."""
        self._failed |= moves == self.moves

    def look(self) -> None:
        now_sec = time.monotonic()
        if now_sec - self._looked_sec >= LOOK_SEC and (self._looking is None or self._looking.done()):
            self._looked_sec = now_sec
            self._looking = asyncio.create_task(self._look())

    def on_move(self, cut: Callable[[], Awaitable[None]]) -> None:
        self._cuts.append(cut)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for sentinel in self._sentinels:
            await sentinel.close()

    async def _look(self) -> None:
        async with self._asking:
            await self._compare()

    async def _compare(self) -> None:
        """Ask the Sentinels, and use another server where that follows from their answers."""
        await self._ask()
        named, count = self._named_most()
        agreed = 2 * count > len(self._sentinels)
        if not agreed and self._in_use is not None and not self._failed:
            named = self._in_use
        if named is None:
            return
        before, self._in_use, self._failed = self._in_use, named, False
        self._answered_sec = time.monotonic()
        if before is not None and named != before:
            self.moves += 1
            for cut in self._cuts:
                await cut()

    async def _ask(self) -> None:
        """Ask all, and wait until most agree, all have answered, or `ASK_SEC` are over."""
        ends_sec = time.monotonic() + ASK_SEC
        questions = [sentinel.ask() for sentinel in self._sentinels]
        waited = {question for question in questions if question is not None}
        while waited and 2 * self._named_most()[1] <= len(self._sentinels):
            left_sec = max(0.0, ends_sec - time.monotonic())
            done, waited = await asyncio.wait(waited, timeout=left_sec, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return

    def _named_most(self) -> tuple[Address | None, int]:
        """Return the address that is named most often, of two the one that is not in use, and how often."""
        counted = Counter(each.named for each in self._sentinels if each.named is not None)
        named = max(counted, key=lambda each: (counted[each], each != self._in_use), default=None)
        return named, 0 if named is None else counted[named]

    def _unknown(self) -> redis_errors.ConnectionError:
        said = "; ".join(sentinel.said for sentinel in self._sentinels)
        return redis_errors.ConnectionError(f"no Sentinel names the primary of {self._service}: {said}")


def _read_address(answer: object) -> Address | None:
    match answer:
        case None:
            return None
        case [bytes(host), bytes(port)] if host.isascii() and _PORT.fullmatch(port) and int(port) < 65536:
            return host.decode(), int(port)
    raise redis_errors.InvalidResponse("its answer is not the address of a server")
