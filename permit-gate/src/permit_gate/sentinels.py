"""Connections to the primary of a service that Redis Sentinels watch: `redis+sentinel://…`."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

_URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<login>[^@/]*@)?(?P<hosts>[^@/?]+)/(?P<service>[A-Za-z0-9._-]+)"
    r"(?:/(?P<db>[0-9]+)?)?(?:\?(?P<options>.*))?"
)
_PORT = re.compile(r":[0-9]+$")
_DEFAULT_PORT = 26379


class _Poll:
    """Answers of the Sentinels to one question."""

    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._answered = 0
        self._named: Counter[tuple[str, int]] = Counter()
        self._said: list[str] = []

    def take(self, host: str, answer: object) -> None:
        """Take what a Sentinel answered, or the error."""
        self._answered += 1
        if isinstance(answer, list) and list(map(type, answer)) == [bytes, bytes] and answer[1].isdigit():
            self._named[answer[0].decode(errors="replace"), int(answer[1])] += 1
        elif answer is None:
            self._said.append(f"{host} does not know it")
        else:
            self._said.append(f"{host}: {type(answer).__name__}")

    def agreed(self) -> tuple[str, int] | None:
        """Return the address that most of all Sentinels name."""
        return next((each for each, count in self._named.items() if 2 * count > self._asked), None)

    def is_over(self) -> bool:
        """Return True if no further answer is needed."""
        return self._answered == self._asked or self.agreed() is not None

    def named_most(self, not_rather: tuple[str, int] | None) -> tuple[str, int] | None:
        """Return the address that is named most often; of two, not `not_rather`."""
        return max(self._named, key=lambda each: (self._named[each], each != not_rather), default=None)

    def __str__(self) -> str:
        silent = self._asked - self._answered
        return ", ".join(self._said + [f"{silent} silent"] * (silent > 0))


class _Service:
    """Stands in for the pool of a redis-py `SentinelManagedConnection`, which asks it for the primary.

    redis-py's own pool for it would count connections that it has closed, some versions for ever; its own
    `Sentinel` asks one Sentinel, which may be cut off from the others, learns of a new primary later, and
    names clients with all their options in its errors.
    """

    is_master = True
    check_connection = False

    def __init__(self, service_name: str, sentinels: Mapping[str, Any], timeout_sec: float) -> None:
        """Take the clients of the Sentinels by their hosts, and how long their answers are waited for."""
        self.service_name = service_name
        #: Count of changes from one server to another.
        self.moves = 0
        self._sentinels = sentinels
        self._timeout_sec = timeout_sec
        self._question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service_name)
        self._in_use: tuple[str, int] | None = None
        self._has_failed = False
        self._choosing = Lock()

    def failed(self, moves: int) -> None:
        """Record a failure in a call that began after so many moves."""
        with self._choosing:
            self._has_failed |= moves == self.moves

    def get_master_address(self) -> Any:
        """Return the primary's host and port. Raises redis.exceptions.ConnectionError."""
        answers: SimpleQueue[tuple[str, object]] = SimpleQueue()

        def ask(host: str, sentinel: Any) -> None:
            try:
                answers.put((host, sentinel.execute_command(*self._question)))
            except (RedisError, OSError) as error:
                answers.put((host, error))

        ends_sec = time.monotonic() + self._timeout_sec
        for asked in self._sentinels.items():
            # Not of a pool of threads: those of `concurrent.futures` start none once the main thread is over.
            Thread(target=ask, args=asked, daemon=True).start()
        poll = _Poll(len(self._sentinels))
        with suppress(Empty):
            while not poll.is_over():
                poll.take(*answers.get(timeout=max(0.0, ends_sec - time.monotonic())))
        return self._chosen(poll)

    def _chosen(self, poll: _Poll) -> tuple[str, int]:
        """Return the address that most name, else the present one, unless it failed: then any."""
        with self._choosing:
            named = poll.agreed()
            if named is None and not self._has_failed:
                named = self._in_use
            if named is None:
                named = poll.named_most(not_rather=self._in_use)
            if named is None:
                raise RedisConnectionError(f"no Sentinel names the primary of {self.service_name}: {poll}")
            self.moves += self._in_use not in (None, named)
            self._in_use, self._has_failed = named, False
            return named


class _AsyncioService(_Service):
    async def get_master_address(self) -> Any:
        poll = _Poll(len(self._sentinels))
        ends_sec = time.monotonic() + self._timeout_sec
        waited = {
            asyncio.ensure_future(self._ask(poll, host, sentinel))
            for host, sentinel in self._sentinels.items()
        }
        while waited and not poll.is_over():
            done, waited = await asyncio.wait(
                waited,
                timeout=max(0.0, ends_sec - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                break
        return self._chosen(poll)

    async def _ask(self, poll: _Poll, host: str, sentinel: Any) -> None:
        try:
            poll.take(host, await sentinel.execute_command(*self._question))
        except (RedisError, OSError) as error:
            poll.take(host, error)


def service_of(pool: Any) -> _Service | None:
    """Return the service that a pool of `sentinel_pools` leads to; None for a pool to one server."""
    service: _Service | None = pool.connection_kwargs.get("connection_pool")
    return service


def names_sentinels(url: str) -> bool:
    """Return True for an address of Sentinels, also of a malformed one."""
    return url.partition(":")[0] in ("redis+sentinel", "rediss+sentinel")


def sentinel_pools(library: Any, url: str, timeout_sec: float, options: Mapping[str, Any]) -> list[Any]:
    """Return the pool for the primary, then a pool for each Sentinel; `library`: `redis` or `redis.asyncio`.

    A new connection asks all Sentinels for the primary at once, for half of `timeout_sec`. User and password
    before the hosts are for the primary; those for Sentinels are the options `sentinel_username` and
    `sentinel_password`. TLS is for both. Raises ValueError for a malformed address.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError(
            "not redis+sentinel://[user:password@]host[:port][,host[:port]…]/SERVICE[/db][?option=…]"
        )
    scheme, hosts = parts["scheme"], parts["hosts"].split(",")
    query = dict(parse_qsl((parts["options"] or "").replace("+", "%2B")))
    login = {
        name: value
        for name in ("username", "password")
        if (value := query.pop(f"sentinel_{name}", None)) is not None
    }
    ask_sec = timeout_sec / 2
    shared = ("retry", "maint_notifications_config", "max_connections")
    own = {name: value for name, value in options.items() if name.startswith("ssl") or name in shared}
    if "protocol" in options:
        own["protocol"] = 2  # without HELLO, at whose odd answers redis-py raises an AttributeError
    own |= {"socket_timeout": ask_sec, "socket_connect_timeout": ask_sec}
    login_and_tls = urlencode(query | login)
    sentinels = {
        place: library.Redis.from_url(f"{scheme}://{place}?{login_and_tls}", **own)
        for place in (host if _PORT.search(host) else f"{host}:{_DEFAULT_PORT}" for host in hosts)
    }
    service_class = _AsyncioService if library.__name__ == "redis.asyncio" else _Service
    server_url = f"{scheme}://{parts['login'] or ''}sentinels.invalid/{parts['db'] or 0}?{urlencode(query)}"
    server = library.connection.parse_url(server_url)
    for name in ("host", "port", "connection_class"):
        server.pop(name, None)
    connection_class = (
        library.sentinel.SentinelManagedSSLConnection
        if scheme == "rediss"
        else library.sentinel.SentinelManagedConnection
    )
    pool = library.ConnectionPool(
        connection_class=connection_class,
        connection_pool=service_class(parts["service"], sentinels, ask_sec),
        **{**options, **server},
    )
    return [pool, *(sentinel.connection_pool for sentinel in sentinels.values())]
