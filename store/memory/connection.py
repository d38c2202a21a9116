"""The way of one `MemoryStore` to its Redis and back, with its delays and faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import trio

from brain.identifiers import FencingToken
from store.errors import StoreUnavailableError
from store.keys import Keys
from store.memory.faults import Faults
from store.memory.keyspace import Keyspace
from store.memory.memory_redis import MemoryRedis
from store.memory.streams import format_id
from store.protocol import LONGEST_BLOCK_MS
from store.records import Entry

P = ParamSpec("P")
T = TypeVar("T")


class MemoryConnection:
    """A call that is cancelled or fails after its request arrived has taken effect, as over a socket."""

    def __init__(
        self, redis: MemoryRedis, *, keys: Keys, consumer: str, crossing: Callable[[], Awaitable[None]]
    ) -> None:
        """Take `crossing`, the network delay each way."""
        self.faults = Faults(redis.wake_readers)
        self._redis = redis
        self._keyspace = redis.keyspace
        self._keys = keys
        self._consumer = consumer
        self._crossing = crossing

    async def _read_new(self, method: str, key: str, group: str, count: int, block_ms: int) -> list[Entry]:
        run_id = self._redis.run_id
        await self._crossing()
        delivered: list[Entry] = []
        with trio.move_on_after(min(block_ms, LONGEST_BLOCK_MS) / 1000):
            while True:
                self._reach(method, run_id)
                for entry_id in self._redis.read_new(key, group, self._consumer, count):
                    stream = self._keyspace.make_stream(key)
                    delivered.append(Entry(format_id(entry_id), stream.get(entry_id)))
                if delivered or block_ms <= 0:
                    break
                await self._redis.changed(key)
        await self._crossing()
        self._return(method, run_id)
        return delivered

    async def _run(
        self,
        effect: Callable[Concatenate[Keyspace, Keys, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Call `effect`, which has the method's name, with the keyspace."""
        return await self._call(
            effect.__name__, lambda: effect(self._keyspace, self._keys, *arguments, **named)
        )

    async def _fenced(self, method: str, _fence: FencingToken | None, effect: Callable[[], T]) -> T:
        """Take an effect that checks the fence itself, if it needs one."""
        return await self._call(method, effect)

    async def _call(self, method: str, effect: Callable[[], T]) -> T:
        run_id = self._redis.run_id
        await self._crossing()
        self._reach(method, run_id)
        answer = effect()
        await self._crossing()
        self._return(method, run_id)
        return answer

    def _reach(self, method: str, run_id: str) -> None:
        if self._redis.run_id != run_id:
            raise StoreUnavailableError(f"{method}: Redis was restarted")
        for faults in (self._redis.faults, self.faults):
            faults.before(method)

    def _return(self, method: str, run_id: str) -> None:
        if self._redis.run_id != run_id:
            raise StoreUnavailableError(f"{method}: Redis was restarted")
        for faults in (self._redis.faults, self.faults):
            faults.after(method)
