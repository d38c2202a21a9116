"""Redis connections, on every redis-py from 4.6 on: all that differs between its versions stands here.

A flavour takes a connection of the pool for one conversation. Pushes are used from redis-py 7 on: 4.6 does
not speak RESP3, and 5 with hiredis cannot distinguish a push from a reply. Without them a gate looks every
5 ms.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import redis

try:
    from redis.maint_notifications import MaintNotificationsConfig
except ImportError:
    MaintNotificationsConfig = None  # type: ignore[assignment,misc]

_VERSION = tuple(part for part in redis.VERSION if isinstance(part, int))
#: Whether this redis-py hands out what the server pushes.
READS_PUSHES = _VERSION >= (7,)
#: What `get_connection` of a pool takes: a command's name, until it was deprecated.
GET_CONNECTION_ARGUMENTS: tuple[str, ...] = () if _VERSION >= (5, 3) else ("_",)


def connection_pool(
    pool_class: Any, redis_url: str, retry: object, timeout_sec: float, options: Mapping[str, Any]
) -> Any:
    """A pool of `redis` or `redis.asyncio`; `options` are the caller's, for TLS and names.

    `retry` must be a policy that does not: redis-py's own retries would answer long after anybody waited.
    "Maintenance notifications" would switch off the check that an idle connection is still alive before it
    is used.
    """
    chosen = {
        "max_connections": 10_000,  # redis-py 8 allows 100 by itself
        **options,
        "retry": retry,
        "socket_timeout": timeout_sec,
        "socket_connect_timeout": timeout_sec,
        "decode_responses": False,
    }
    if READS_PUSHES:
        chosen["protocol"] = 3
    if "maint_notifications_config" in inspect.signature(pool_class.__init__).parameters:
        chosen["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return pool_class.from_url(redis_url, **chosen)


class IdleConnections:
    """Finds the connections of a pool that were idle while a conversation on another one failed.

    After a failover behind one address they still lead to the old primary, alive as a replica: they have to
    be connected anew before they are used.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._failures_when_taken: dict[object, int] = {}

    def failed(self) -> None:
        """Note that Redis could not be reached, or refused a command."""
        self._failures += 1

    def is_new(self, connection: object) -> bool:
        """Whether `connection` was never taken before."""
        return connection not in self._failures_when_taken

    def taken(self, connection: object) -> bool:
        """Note that `connection` leaves the pool; True if something failed since it left it before."""
        before = self._failures_when_taken.get(connection, self._failures)
        self._failures_when_taken[connection] = self._failures
        return before != self._failures
