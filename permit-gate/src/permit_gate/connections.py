"""Redis connections on redis-py 4.6 and newer, with all differences between its versions.

A flavour takes a connection of the pool for one conversation. Pushes are used from redis-py 7 on: 4.6 does
not speak RESP3, and 5 with hiredis cannot distinguish a push from a reply. Without them a gate reads every
5 ms.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff

from permit_gate.answers import Refused
from permit_gate.ask import Answer
from permit_gate.rules import GateRules
from permit_gate.sentinels import names_sentinels, sentinel_pools, service_of
from permit_gate.sources import PermitSource

try:
    from redis.maint_notifications import MaintNotificationsConfig
except ImportError:
    MaintNotificationsConfig = None  # type: ignore[assignment,misc]

_VERSION = tuple(part for part in redis.VERSION if isinstance(part, int))
#: True if this redis-py returns messages that the server pushes.
READS_PUSHES = _VERSION >= (7,)
#: Arguments of a pool's `get_connection`: a command's name, until it was deprecated.
GET_CONNECTION_ARGUMENTS: tuple[str, ...] = () if _VERSION >= (5, 3) else ("_",)


def connection_pools(
    library: Any, redis_url: str, retry: object, timeout_sec: float, options: Mapping[str, Any]
) -> list[Any]:
    """Return a pool of `redis` or `redis.asyncio`, then pools that it needs; `options` are the caller's.

    `retry` must be a policy without retries: redis-py's own would return long after the caller's timeout.
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
    if "maint_notifications_config" in inspect.signature(library.ConnectionPool.__init__).parameters:
        chosen["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    if names_sentinels(redis_url):
        return sentinel_pools(library, redis_url, timeout_sec, chosen)
    return [library.ConnectionPool.from_url(redis_url, **chosen)]


class IdleConnections:
    """Tracker of pooled connections that were idle while a conversation on another one failed.

    After a failover behind one address they still lead to the old primary, alive as a replica: they have to
    reconnect before use.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._failures_when_taken: dict[object, int] = {}

    def failed(self) -> None:
        """Record that Redis could not be reached, or refused a command."""
        self._failures += 1

    def is_new(self, connection: object) -> bool:
        """Return True if `connection` was never taken before."""
        return connection not in self._failures_when_taken

    def taken(self, connection: object) -> bool:
        """Record that `connection` leaves the pool; return True after a failure since it last did."""
        before = self._failures_when_taken.get(connection, self._failures)
        self._failures_when_taken[connection] = self._failures
        return before != self._failures


class PooledGate:
    """Rules and connections of a gate; `library` is `redis` or `redis.asyncio`."""

    library: Any

    def __init__(
        self,
        redis_url: str,
        rules: GateRules | None = None,
        *,
        command_timeout_sec: float = 0.5,
        **options: Any,
    ) -> None:
        self._rules = rules or GateRules()
        retry = self.library.retry.Retry(NoBackoff(), 0)
        self._pools = connection_pools(self.library, redis_url, retry, command_timeout_sec, options)
        self._pool = self._pools[0]
        self._idle = IdleConnections()
        self._service = service_of(self._pool)

    def _moves(self) -> int:
        """Count of changes from one server to another, for `_failed`."""
        return self._service.moves if self._service else 0

    def _failed(self, moves: int) -> None:
        """Record an error in a call that began after so many moves."""
        self._idle.failed()
        if self._service:
            self._service.failed(moves)

    def _note(self, answer: Answer, sources: Sequence[PermitSource]) -> None:
        """Ask the Sentinels again after a wait in which no permit came at all.

        For seconds after a failover, and while it is cut off, an old primary answers reads as before.
        """
        if self._service and isinstance(answer, Refused) and len(answer.missing) == len(sources):
            self._idle.failed()
