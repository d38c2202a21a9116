"""A store, and the hands of everybody else on the same Redis: real, or the twin in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import redis
import trio
import trio.testing

from brain.identifiers import EntryId, FencingToken
from store.errors import GroupLostError
from store.execution_protocol import ServiceStore
from store.keys import GROUP, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.redis.store import RedisStore
from tests.store.redis_servers import RedisServer

Text = str | bytes
KEYS = Keys("q")
#: A deadline of each call that a busy machine keeps; the deadlines themselves have tests of their own.
PATIENCE_SEC = 30.0
#: Of every stream of intents.
INTENT_GROUPS = ("q:group:intent_bridge", "exit-intent-gateway", "intent_executor_harvest")
#: Of every stream of plans and results.
GROUPS = (
    GROUP, "intent_executor", "intent_executor_shadow", "intent_executor_manual", "governor",
    "governor_shadow", "governor_result_monitor", "p35_decision_intel",
)  # fmt: skip


class Outside(Protocol):
    """Commands of publishers, consumers and operators, on `MemoryRedis` or a real Redis (`PlainRedis`)."""

    def xadd(self, key: str, fields: Mapping[Text, Text], *, entry_id: str = "*") -> EntryId: ...
    def xdel(self, key: str, entry_id: str) -> bool: ...
    def xrange(self, key: str) -> list[tuple[str, Mapping[bytes, bytes]]]: ...
    def xlen(self, key: str) -> int: ...
    def xpending(self, key: str, group: str) -> dict[str, tuple[str, int, int]]: ...
    def xgroup_destroy(self, key: str, group: str) -> None: ...
    def set(self, key: str, value: Text, *, ttl_ms: int | None = None) -> None: ...
    def get(self, key: str) -> bytes | None: ...
    def take(self, key: str) -> bytes | None: ...
    def delete(self, key: str) -> bool: ...
    def hset(self, key: str, fields: Mapping[Text, Text]) -> None: ...
    def hdel(self, key: str, field: Text) -> None: ...
    def hgetall(self, key: str) -> dict[bytes, bytes]: ...
    def lrange(self, key: str) -> list[bytes]: ...
    def zadd(self, key: str, scores: Mapping[str, float]) -> None: ...
    def zrange(self, key: str) -> list[bytes]: ...
    def keys(self) -> list[str]: ...
    def kind(self, key: str) -> str: ...
    def pexpire(self, key: str, ttl_ms: int) -> None: ...
    def pttl(self, key: str) -> int: ...
    def flushall(self) -> None: ...
    def evict(self, key: str) -> bool: ...


class Backend(Protocol):
    """One Redis, a store on it, and a way to let its clock run."""

    store: ServiceStore
    outside: Outside
    fence: FencingToken

    def another_store(self, consumer: str, **shadows: bool) -> ServiceStore:
        """Return a store of another instance on the same Redis; `shadows`: `governor_shadow` and so on."""
        ...

    async def take_lease(self) -> FencingToken:
        """Hold the lease for a minute; the fence."""
        self.fence = (await self.store.hold_lease("first", None, 60_000)).fence
        return self.fence

    async def pass_ms(self, ms: int) -> None:
        """Until Redis's clock shows `ms` more."""
        ...

    async def until_a_read_blocks(self) -> None:
        """Wait until a client waits in a blocking read."""
        ...


class PlainRedis:
    """The world outside, with a client of its own."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._execute: Callable[..., Any] = getattr(client, "execute_command")  # noqa: B009 - untyped there

    def call(self, *command: Any) -> Any:
        return self._execute(*command)

    def xadd(self, key: str, fields: Mapping[Text, Text], *, entry_id: str = "*") -> EntryId:
        flat = [text for pair in fields.items() for text in pair]
        return EntryId(self.call("XADD", key, entry_id, *flat).decode())

    def xdel(self, key: str, entry_id: str) -> bool:
        return bool(self.call("XDEL", key, entry_id))

    def xrange(self, key: str) -> list[tuple[str, Mapping[bytes, bytes]]]:
        return [(entry_id.decode(), fields) for entry_id, fields in self.call("XRANGE", key, "-", "+")]

    def xlen(self, key: str) -> int:
        return int(self.call("XLEN", key))

    def xpending(self, key: str, group: str) -> dict[str, tuple[str, int, int]]:
        rows: Any = self.client.xpending_range(key, group, "-", "+", 100_000)
        return {
            row["message_id"].decode(): (
                row["consumer"].decode(), row["time_since_delivered"], row["times_delivered"]
            )
            for row in rows
        }  # fmt: skip

    def xgroup_destroy(self, key: str, group: str) -> None:
        self.call("XGROUP", "DESTROY", key, group)

    def set(self, key: str, value: Text, *, ttl_ms: int | None = None) -> None:
        self.call("SET", key, value, *(() if ttl_ms is None else ("PX", ttl_ms)))

    def get(self, key: str) -> bytes | None:
        value: bytes | None = self.call("GET", key)
        return value

    def take(self, key: str) -> bytes | None:
        value: bytes | None = self.call("GETDEL", key)
        return value

    def delete(self, key: str) -> bool:
        return bool(self.call("DEL", key))

    def hset(self, key: str, fields: Mapping[Text, Text]) -> None:
        self.call("HSET", key, *(text for pair in fields.items() for text in pair))

    def hdel(self, key: str, field: Text) -> None:
        self.call("HDEL", key, field)

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        return dict(self.call("HGETALL", key))

    def lrange(self, key: str) -> list[bytes]:
        return list(self.call("LRANGE", key, 0, -1))

    def zadd(self, key: str, scores: Mapping[str, float]) -> None:
        self.call("ZADD", key, *(text for member, score in scores.items() for text in (score, member)))

    def zrange(self, key: str) -> list[bytes]:
        return list(self.call("ZRANGE", key, 0, -1))

    def keys(self) -> list[str]:
        return [key.decode() for key in self.call("KEYS", "*")]

    def kind(self, key: str) -> str:
        kind = self.call("TYPE", key)
        return kind.decode() if isinstance(kind, bytes) else str(kind)

    def pexpire(self, key: str, ttl_ms: int) -> None:
        self.call("PEXPIRE", key, ttl_ms)

    def pttl(self, key: str) -> int:
        return int(self.call("PTTL", key))

    def flushall(self) -> None:
        self.call("FLUSHALL")

    def evict(self, key: str) -> bool:
        """Have one key evicted: all others live for ever, and only keys that expire may be evicted."""
        others = [other for other in self.keys() if other != key]
        lives = {other: life_ms for other in others if (life_ms := self.pttl(other)) > 0}
        for other in lives:
            self.call("PERSIST", other)
        if self.pttl(key) == -1:
            self.pexpire(key, 3_600_000)
        before = self._evicted()
        self.call("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
        self.call("CONFIG", "SET", "maxmemory", "1")
        for _ in range(100):
            if self.kind(key) == "none":
                break
        self.call("CONFIG", "SET", "maxmemory", "0")
        self.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        for other, life_ms in lives.items():
            self.pexpire(other, life_ms)
        return self._evicted() > before

    def _evicted(self) -> int:
        return int(self.client.info("stats")["evicted_keys"])


class MemoryBackend(Backend):
    """The twin, on a clock that only `pass_ms` moves."""

    def __init__(self) -> None:
        self._now_ms = 1_760_000_000_000
        self.redis = MemoryRedis(lambda: self._now_ms)
        self.keys = KEYS
        self.outside: Outside = self.redis
        self.fence = FencingToken("")
        self.memory_store = MemoryStore(self.redis, keys=KEYS, consumer="first")
        self.store: ServiceStore = self.memory_store

    def another_store(self, consumer: str, **shadows: bool) -> ServiceStore:
        crossing = trio.lowlevel.checkpoint
        return MemoryStore(self.redis, keys=KEYS, consumer=consumer, crossing=crossing, **shadows)

    async def pass_ms(self, ms: int) -> None:
        self._now_ms += ms

    async def until_a_read_blocks(self) -> None:
        await trio.testing.wait_all_tasks_blocked()


class RedisBackend(Backend):
    """A real redis-server."""

    def __init__(self, server: RedisServer, client: redis.Redis) -> None:
        self.server = server
        self.plain = PlainRedis(client)
        self.outside: Outside = self.plain
        self.fence = FencingToken("")
        self.redis_store = RedisStore(server.url, keys=KEYS, consumer="first", timeout_sec=PATIENCE_SEC)
        self.store: ServiceStore = self.redis_store
        self._stores = [self.redis_store]

    def another_store(self, consumer: str, **shadows: bool) -> ServiceStore:
        store = RedisStore(self.server.url, keys=KEYS, consumer=consumer, timeout_sec=PATIENCE_SEC, **shadows)
        self._stores.append(store)
        return self._stores[-1]

    async def pass_ms(self, ms: int) -> None:
        begun_ms = self._now_ms()
        while (left_ms := begun_ms + ms - self._now_ms()) > 0:  # noqa: ASYNC110 - a real Redis's clock
            await trio.sleep(left_ms / 1000)

    async def until_a_read_blocks(self) -> None:
        while int(self.plain.client.info("clients")["blocked_clients"]) == 0:  # noqa: ASYNC110
            await trio.sleep(0.002)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()

    def _now_ms(self) -> int:
        seconds, microseconds = self.plain.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000


@asynccontextmanager
async def redis_backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    """On an empty Redis; needs an asyncio loop around it."""
    with server.client() as client:
        client.flushall()
        backend = RedisBackend(server, client)
        try:
            yield backend
        finally:
            await backend.close()


def everything(outside: Outside) -> dict[str, object]:
    """Return all that is stored, lives apart: to show that nothing has changed."""
    dump: dict[str, object] = {}
    for key in sorted(outside.keys()):
        kind = outside.kind(key)
        if kind == "string":
            dump[key] = outside.get(key)
        elif kind == "hash":
            dump[key] = dict(sorted(outside.hgetall(key).items()))
        elif kind == "zset":
            dump[key] = outside.zrange(key)
        elif kind == "list":
            dump[key] = outside.lrange(key)
        else:
            dump[key] = (outside.xrange(key), *(pending(outside, key, group) for group in _groups(key)))
    return dump


def _groups(key: str) -> tuple[str, ...]:
    if key.endswith(".intent"):
        return INTENT_GROUPS
    return GROUPS if key.startswith((KEYS.plans, KEYS.results)) else GROUPS[:1]


def pending(outside: Outside, key: str, group: str = GROUP) -> dict[str, tuple[str, int]]:
    """Consumer and deliveries of what is pending; nothing where there is no group."""
    try:
        rows = outside.xpending(key, group)
    except (GroupLostError, redis.ResponseError):
        return {}
    return {entry_id: (consumer, deliveries) for entry_id, (consumer, _, deliveries) in rows.items()}


def fill_stream(outside: Outside, key: str, count: int) -> None:
    """Many entries, on a real Redis in one go."""
    if isinstance(outside, PlainRedis):
        script = "for n = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'n', n) end"
        outside.call("EVAL", script, 1, key, count)
    else:
        for n in range(count):
            outside.xadd(key, {"n": str(n)})
