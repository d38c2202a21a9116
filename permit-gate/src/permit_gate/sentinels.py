"""Connections to the primary of a service that Redis Sentinels watch: `redis+sentinel://…`."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


class _Service:
    """What a connection of redis-py's `SentinelManagedConnection` asks for instead of its pool.

    redis-py's own pool for it would count connections that it has closed, some versions for ever; its own
    `Sentinel` learns of a new primary later, and names clients with all their options in its errors.
    """

    is_master = True
    check_connection = False

    def __init__(self, service_name: str, sentinels: Mapping[str, Any]) -> None:
        """Take the clients of the Sentinels by their hosts."""
        self.service_name = service_name
        self._sentinels = dict(sentinels)
        self._question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service_name)

    def get_master_address(self) -> Any:
        """Return the primary's host and port. Raises redis.exceptions.ConnectionError."""
        said: list[str] = []
        for host, sentinel in tuple(self._sentinels.items()):
            try:
                found = self._found(host, sentinel.execute_command(*self._question), said)
            except (RedisError, OSError) as error:
                self._failed(host, error, said)
                continue
            if found is not None:
                return found
        raise self._unknown(said)

    def _found(self, host: str, answer: Any, said: list[str]) -> tuple[str, int] | None:
        if answer is None:
            said.append(f"{host} does not know it")
            return None
        return bytes(answer[0]).decode(), int(answer[1])

    def _failed(self, host: str, error: Exception, said: list[str]) -> None:
        """Ask this Sentinel last from now on."""
        self._sentinels[host] = self._sentinels.pop(host)
        said.append(f"{host}: {type(error).__name__}")

    def _unknown(self, said: list[str]) -> RedisConnectionError:
        return RedisConnectionError(
            f"no Sentinel names the primary of {self.service_name}: {', '.join(said)}"
        )


class _AsyncioService(_Service):
    async def get_master_address(self) -> Any:
        said: list[str] = []
        for host, sentinel in tuple(self._sentinels.items()):
            try:
                found = self._found(host, await sentinel.execute_command(*self._question), said)
            except (RedisError, OSError) as error:
                self._failed(host, error, said)
                continue
            if found is not None:
                return found
        raise self._unknown(said)


def names_sentinels(url: str) -> bool:
    """Return True for an address of Sentinels, also of a malformed one."""
    return url.partition(":")[0] in ("redis+sentinel", "rediss+sentinel")


def sentinel_pools(library: Any, url: str, timeout_sec: float, options: Mapping[str, Any]) -> list[Any]:
    """Return the pool for the primary, then a pool for each Sentinel; `library`: `redis` or `redis.asyncio`.

    A new connection asks the Sentinels for the primary, one after the other, for `timeout_sec` in all. User
    and password before the hosts are for the primary; those for Sentinels are the options
    `sentinel_username` and `sentinel_password`. TLS is for both. Raises ValueError for a malformed address.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError(
            "not redis+sentinel://[user:password@]host[:port][,host[:port]…]/SERVICE[/db][?option=…]"
        )
    scheme, hosts = parts["scheme"], parts["hosts"].split(",")
    query = dict(parse_qsl(parts["options"] or ""))
    login = {
        name: value
        for name in ("username", "password")
        if (value := query.pop(f"sentinel_{name}", None)) is not None
    }
    share_sec = timeout_sec / len(hosts)
    shared = ("retry", "maint_notifications_config")
    own = {name: value for name, value in options.items() if name.startswith("ssl") or name in shared}
    own |= {"socket_timeout": share_sec, "socket_connect_timeout": share_sec}
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
        connection_pool=service_class(parts["service"], sentinels),
        **{**options, **server},
    )
    return [pool, *(sentinel.connection_pool for sentinel in sentinels.values())]
