"""The twin of `store.redis.consumer_group`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from brain.identifiers import EntryId, FencingToken
from store.consumers import GroupConsumer
from store.keys import GROUP, Keys
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.memory_redis import MemoryRedis
from store.memory.streams import Group, format_id, parse_id
from store.records import Entry
from store.stored_values import group_begin, id_parts

T = TypeVar("T")

LONGEST_DEAD = 10_000


def acknowledge_one(redis: Keyspace, stream: str, entry_id: EntryId, group: str = GROUP) -> None:
    """XACK: no effect where there is no such stream, group or pending entry."""
    stored = redis.stream(stream)
    if stored is not None and group in stored.groups:
        stored.groups[group].pending.pop(parse_id(entry_id), None)


def note_acknowledged(
    redis: Keyspace, stream: str, group: str, last_id: str, entry_ids: Sequence[EntryId]
) -> None:
    """As in `_acknowledge.lua`: note the highest of acknowledged ids that no pending entry is before."""
    if not entry_ids:
        return
    stored, known = redis.stream(stream), redis.text(last_id) if redis.kind(last_id) == "string" else None
    known = b"0-0" if known is None else known
    found = None if stored is None else stored.groups.get(group)
    oldest = None if found is None else min(found.pending, default=None)
    for entry_id in entry_ids:
        entry = parse_id(entry_id)
        if id_parts(known) < entry and not (oldest is not None and oldest < entry):
            known = entry_id.encode()
    redis.set(last_id, known)


def acknowledge_in_order(redis: Keyspace, stream: str, group: str, last_id: str, entry_id: EntryId) -> None:
    """Acknowledge an entry, and note its id where no pending entry is before."""
    acknowledge_one(redis, stream, entry_id, group)
    note_acknowledged(redis, stream, group, last_id, [entry_id])


class Call(Protocol):
    """The way to Redis and back, with its delays and faults; `method` is the faults' name of the call."""

    def __call__(
        self, method: str, fence: FencingToken | None, effect: Callable[[], T], /
    ) -> Awaitable[T]: ...


@dataclass(kw_only=True)
class MemoryConsumerGroup:
    """A group of one stream, `p33` unless named. `name` is the store's attribute, the name in faults.

    `start` returns the id behind which a new group begins. `last`: key of the last id that was dealt with,
    empty where none is kept. `suspects_alone`: an entry that was delivered more than once before is recovered
    alone.
    """

    name: str
    stream: str
    dead: str
    start: Callable[[bool], str]
    suspects_alone: bool
    consumer: str
    keys: Keys
    redis: MemoryRedis
    call: Call
    read: Callable[[str, str, str, int, int], Awaitable[list[Entry]]]
    group: str = GROUP
    last: str = ""

    async def create(self, *, lost: bool) -> None:
        def create() -> None:
            keyspace = self.redis.keyspace
            start, stream = self.start(lost), keyspace.make_stream(self.stream)
            if self.group in stream.groups:
                return
            stream.groups[self.group] = Group(stream.last_id if start == "$" else parse_id(start))
            if start == "$" and self.last and keyspace.text(self.last) is None:
                keyspace.set(self.last, group_begin(self.redis.now_ms()))

        await self.call(f"{self.name}.create", None, create)

    async def read_new(self, *, count: int, block_ms: int) -> list[Entry]:
        return await self.read(f"{self.name}.read_new", self.stream, self.group, count, block_ms)

    async def recover(self, *, fence: FencingToken, after: str, idle_ms: int, count: int) -> list[Entry]:
        """As `recover.lua`: a deleted entry is listed, not claimed."""

        def claim() -> list[Entry]:
            check_fence(self.redis.keyspace, self.keys, fence)
            stored, group = self.redis.group(self.stream, self.group)
            now_ms = self.redis.now_ms()
            start = (-1, 0) if after == "0" else parse_id(after)
            recovered: list[Entry] = []
            for entry_id, pending in group.pending_behind(start, now_ms=now_ms, idle_ms=idle_ms, count=count):
                suspect = self.suspects_alone and pending.deliveries > 1
                if suspect and recovered:
                    break
                fields = stored.get(entry_id)
                recovered.append(Entry(format_id(entry_id), fields, pending.deliveries + 1))
                if fields is not None:
                    group.seen_ms[self.consumer] = now_ms
                    pending.consumer, pending.delivered_ms = self.consumer, now_ms
                    pending.deliveries += 1
                if suspect:
                    break
            return recovered

        return await self.call(f"{self.name}.recover", fence, claim)

    async def consumers(self) -> list[GroupConsumer]:
        def list_them() -> list[GroupConsumer]:
            keyspace = self.redis.keyspace
            ours = {self.consumer, *(name.decode() for name in keyspace.hash(self.keys.players))}
            stored = keyspace.stream(self.stream)
            if stored is None or self.group not in stored.groups:
                return []
            group, now_ms = stored.groups[self.group], self.redis.now_ms()
            pending = Counter(entry.consumer for entry in group.pending.values())
            return [
                GroupConsumer(name, now_ms - seen_ms, pending[name], name in ours)
                for name, seen_ms in sorted(group.seen_ms.items())
            ]

        return await self.call(f"{self.name}.consumers", None, list_them)

    async def take_part(self, fence: FencingToken) -> None:
        """As `take_part.lua`."""

        def record() -> None:
            check_fence(self.redis.keyspace, self.keys, fence)
            self.redis.keyspace.hset(self.keys.players, (self.consumer, fence))

        await self.call(f"{self.name}.take_part", fence, record)

    async def acknowledge(self, fence: FencingToken, entry_ids: Sequence[EntryId]) -> None:
        await self._acknowledge("acknowledge", fence, entry_ids, ())

    async def dead_letter(self, fence: FencingToken, entry_id: EntryId, fields: Sequence[str]) -> None:
        await self._acknowledge("dead_letter", fence, (entry_id,), fields)

    async def _acknowledge(
        self, method: str, fence: FencingToken, ids: Sequence[EntryId], fields: Sequence[str]
    ) -> None:
        """As `acknowledge.lua`."""

        def effect() -> None:
            keyspace = self.redis.keyspace
            check_fence(keyspace, self.keys, fence)
            for key in (self.stream, self.dead):
                keyspace.stream(key)
            if fields:
                keyspace.xadd(self.dead, paired(fields), max_len=LONGEST_DEAD)
            for entry_id in ids:
                acknowledge_one(keyspace, self.stream, entry_id, self.group)

        await self.call(f"{self.name}.{method}", fence, effect)
