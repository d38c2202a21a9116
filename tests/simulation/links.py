"""Connections of one process to Redis: which server answers each, and with which error.

The twin has no connections, so these stand in for redis-py's in the service's own `ConnectionPool`, one pool
a purpose. After a failover behind one address, connections to the former primary stay, and it answers them as
a replica does. What an error means, and whether connections are given up for it, is decided by the service's
code; what `RedisLink` does with that, in a few lines, is done here, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import redis.exceptions as redis_errors
import trio
from redis._parsers.base import BaseParser

from store.errors import StoreError, StoreUnavailableError, WrongServerError
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.redis.connection_pool import ConnectionPool
from store.redis.errors import translate

T = TypeVar("T")

#: The commands of each call, as Redis names them; of all others, a script.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "plans.create": ("exists", "xgroup|create"),
    "results.create": ("get", "xgroup|create"),
    "plans.read_new": ("xreadgroup",),
    "results.read_new": ("xreadgroup",),
    "redis_now_ms": ("time",),
    "redis_run": ("info", "time", "get"),
    "universe": ("get", "hgetall"),
    "unread_result": ("xrange",),
    "recent_intents": ("xrevrange",),
    "remember_ban": ("set",),
    "remembered_ban": ("get",),
    "holds_and_cooldowns": ("get", "pttl", "time"),
    "durability": ("info",),
    "seen_notices": ("hgetall", "time"),
    "permit_traces": ("get", "pttl", "time"),
    "read_keys": ("get", "pttl", "hgetall", "exists", "time"),
    "unknown_outcomes": ("hgetall", "time"),
    "executions.create": ("get", "time", "xgroup|create"),
    "counted_results.create": ("get", "time", "xgroup|create"),
    "counted_results.read_new": ("xreadgroup",),
    "intelligence_buckets": ("hgetall",),
    "minutes": ("hmget",),
    **dict.fromkeys(
        ("trade_intents.create", "exit_intents.create", "harvest_intents.create"),
        ("get", "time", "xgroup|create"),
    ),
    **dict.fromkeys(
        ("trade_intents.read_new", "exit_intents.read_new", "harvest_intents.read_new"), ("xreadgroup",)
    ),
    "bridge_state": ("get", "hmget"),
    "dry_runs.create": ("time", "xgroup|create"),
    "manual_plans.create": ("get", "time", "xgroup|create"),
    "executions.read_new": ("xreadgroup",),
    "dry_runs.read_new": ("xreadgroup",),
    "manual_plans.read_new": ("xreadgroup",),
    "execution_run": ("info", "time", "get"),
    "manual_lane_open": ("get", "pttl"),
    "permit_changes": ("client|tracking",),
    "permit_changes.next": ("client|tracking",),
    "look_at_permits": ("get", "exists"),
    "open_orders": ("zrange", "hgetall"),
    "order_record": ("hgetall",),
    "plan_of": ("get",),
}
_SCRIPT = ("evalsha",)
_POOL_OF = {
    "plans.read_new": "plans",
    "results.read_new": "results",
    "executions.read_new": "executions",
    "dry_runs.read_new": "executions",
    "manual_plans.read_new": "executions",
    "counted_results.read_new": "intelligence",
    "trade_intents.read_new": "bridge",
    "exit_intents.read_new": "bridge",
    "harvest_intents.read_new": "bridge",
    "permit_changes": "executions",
    "permit_changes.next": "executions",
}
#: A replica answers these; all others write.
_READING = frozenset(
    {
        "redis_now_ms", "redis_run", "booking_state", "booking_states", "ledger_amounts", "universe",
        "audit_rows", "entries_naming", "read_keys",
        "unread_result", "recent_intents", "remembered_ban", "holds_and_cooldowns", "durability",
        "open_permits", "permit_traces", "unknown_outcomes", "execution_run", "manual_lane_open",
        "permit_changes", "permit_changes.next", "look_at_permits", "open_orders", "order_record", "plan_of",
        "intelligence_buckets", "bridge_state", "published_universe", "seen_notices", "minutes", "waiting",
    }
)  # fmt: skip
_READONLY = "READONLY You can't write against a read only replica."
#: What a server says that was a primary, or is not one yet.
DEMOTED = (
    _READONLY,
    _READONLY,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "LOADING Redis is loading the dataset in memory",
    "CLUSTERDOWN The cluster is down",
)


class Servers:
    """The servers behind the one address, by number. `primary` is the one to which new connections lead."""

    def __init__(self) -> None:
        self.primary = 0
        #: By server: what it answers where only a primary would do.
        self._demoted: dict[int, str] = {}
        #: By server that was demoted: which run of Redis it is.
        self._runs: dict[int, int] = {}
        #: Commands that are refused, and what is said of one.
        self.refused: tuple[str, ...] = ()
        self._refusal = ""

    def demote(self, saying: str, run: int) -> None:
        """Make the primary, which is that run of Redis, a replica; its connections stay."""
        self._demoted[self.primary], self._runs[self.primary] = saying, run

    def promote(self) -> None:
        """Another server is the primary from now on."""
        self.primary += 1

    @contextmanager
    def without_rights(self, commands: tuple[str, ...], refusal: str) -> Iterator[None]:
        """Refuse these commands for the length of a block; `refusal` has a place for the command's name."""
        self.refused, self._refusal = commands, refusal
        try:
            yield
        finally:
            self.refused = ()

    def former_run(self, server: int) -> int | None:
        """Return the number of a former primary's run of Redis; None for the primary."""
        return None if server == self.primary else self._runs.get(server)

    def error(self, server: int, method: str) -> str | None:
        """Return the server's error to a call, if it has one."""
        for command in _COMMANDS.get(method, _SCRIPT):
            if command in self.refused:
                return self._refusal.format(command)
        said = self._demoted.get(server)
        if said is None or (said == _READONLY and method in _READING):
            return None
        return said


class _Connection:
    """A connection to whichever server the address led to when it was opened."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self.server = servers.primary
        #: Whether its server has taken the call in: then it may be blocking there.
        self.asked = False

    async def connect(self) -> None:
        """Lead to the server that is the primary now."""
        self.server = self._servers.primary

    async def can_read(self) -> bool:
        """Answer whether something came without having been asked for: never."""
        return False

    async def disconnect(self, *, nowait: bool) -> None:
        """Lead nowhere any more."""


class Links:
    """One process's pools. A call is known by its task: a task makes one at a time."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._pools: dict[str, ConnectionPool] = {}
        self._in_use: dict[trio.lowlevel.Task, _Connection] = {}

    @asynccontextmanager
    async def connected(self, method: str) -> AsyncIterator[None]:
        """Take a connection for the length of a block. Raises our own errors in the place of redis-py's."""
        pool = self._pools.setdefault(_POOL_OF.get(method, "commands"), ConnectionPool(self._make))
        task = trio.lowlevel.current_task()
        pooled = await pool.take()
        pooled.connection.asked = False
        self._in_use[task] = pooled.connection
        keeps = False
        try:
            yield
            keeps = True
        except StoreError as error:
            keeps = not isinstance(error, StoreUnavailableError)
            raise
        except redis_errors.RedisError as error:
            keeps = isinstance(error, redis_errors.ResponseError)
            ours = translate(error, user="p33", doing=method)
            if isinstance(ours, WrongServerError):
                pool.renew()
            raise ours from error
        finally:
            del self._in_use[task]
            await (pool.give_back(pooled) if keeps else pool.discard(pooled))

    async def _make(self) -> _Connection:
        return _Connection(self._servers)

    def reach(self, method: str) -> None:
        """Raises what the server at the other end answers, as redis-py does, unless it serves the call."""
        connection = self._in_use[trio.lowlevel.current_task()]
        said = self._servers.error(connection.server, method)
        if said is not None:
            if connection.asked:
                # It was blocking there: such connections are closed.
                raise redis_errors.ConnectionError("Connection closed by server.")
            raise BaseParser.parse_error(said)  # type: ignore[no-untyped-call]
        connection.asked = True

    def redis_run(self, redis: MemoryRedis, keys: Keys, effect: Callable[[], T]) -> T:
        """Call `effect` at the server at the other end. A former primary answers for itself, not writing.

        Raises what it answers, as redis-py does.
        """
        run = self._servers.former_run(self._in_use[trio.lowlevel.current_task()].server)
        if run is None:
            return effect()
        before = {key: redis.get(key) for key in (keys.redis_run, keys.evictions)}
        now, redis.runs = redis.runs, run
        try:
            answer = effect()
        finally:
            redis.runs = now
        written = [key for key, value in before.items() if redis.get(key) != value]
        for key in written:
            redis.delete(key)
            if (value := before[key]) is not None:
                redis.set(key, value)
        if written:
            raise BaseParser.parse_error(_READONLY)  # type: ignore[no-untyped-call]
        return answer
