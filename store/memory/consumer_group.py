"""The twin of `store.redis.consumer_group`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from store.keys import GROUP, Keys
from store.memory.entries import acknowledge, recover
from store.memory.memory_redis import MemoryRedis
from store.memory.streams import Group, parse_id
from store.records import Entry

T = TypeVar("T")


class Call(Protocol):
    """The way of a call to Redis and back, with its delays and faults. Faults name the method."""

    def __call__(self, method: str, effect: Callable[[], T], /) -> Awaitable[T]: ...


class FencedCall(Protocol):
    """A call that has an effect only under the fence."""

    def __call__(self, method: str, fence: str, effect: Callable[[], T], /) -> Awaitable[T]: ...


class MemoryConsumerGroup:
    """The group `p33` of one stream. `name` is the store's attribute: a fault names `plans.recover`."""

    def __init__(
        self,
        name: str,
        stream: str,
        dead: str,
        start: Callable[[bool], str],
        *,
        suspects_alone: bool,
        consumer: str,
        keys: Keys,
        redis: MemoryRedis,
        call: Call,
        fenced: FencedCall,
        read_new: Callable[[str, str, int, int], Awaitable[list[Entry]]],
    ) -> None:
        self.stream = stream
        self._name = name
        self._dead = dead
        self._start = start
        self._suspects_alone = suspects_alone
        self._consumer = consumer
        self._keys = keys
        self._redis = redis
        self._call = call
        self._fenced = fenced
        self._read_new = read_new

    async def create(self, *, lost: bool) -> None:
        def create() -> None:
            start = self._start(lost)
            stream = self._redis.keyspace.make_stream(self.stream)
            if GROUP not in stream.groups:
                stream.groups[GROUP] = Group(stream.last_id if start == "$" else parse_id(start))

        await self._call(f"{self._name}.create", create)

    async def read_new(self, *, count: int, block_ms: int) -> list[Entry]:
        return await self._read_new(f"{self._name}.read_new", self.stream, count, block_ms)

    async def recover(self, *, fence: str, after: str, idle_ms: int, count: int) -> list[Entry]:
        def claim() -> list[Entry]:
            return recover(
                self._redis, self._keys, fence,
                stream=self.stream, consumer=self._consumer, after=after, idle_ms=idle_ms, count=count,
                suspects_alone=self._suspects_alone,
            )  # fmt: skip

        return await self._fenced(f"{self._name}.recover", fence, claim)

    async def acknowledge(self, fence: str, entry_ids: Sequence[str]) -> None:
        await self._acknowledge("acknowledge", fence, entry_ids, ())

    async def dead_letter(self, fence: str, entry_id: str, fields: Sequence[str]) -> None:
        await self._acknowledge("dead_letter", fence, (entry_id,), fields)

    async def _acknowledge(self, method: str, fence: str, ids: Sequence[str], fields: Sequence[str]) -> None:
        def effect() -> None:
            acknowledge(
                self._redis.keyspace, self._keys, fence,
                stream=self.stream, dead=self._dead, entry_ids=ids, fields=fields,
            )  # fmt: skip

        await self._fenced(f"{self._name}.{method}", fence, effect)
