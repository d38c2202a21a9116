"""A stream's consumer group on a real Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from brain.identifiers import EntryId, FencingToken
from store.consumers import GroupConsumer
from store.errors import GroupExistsError, GroupLostError, StoreRefusedError
from store.keys import GROUP, Keys
from store.protocol import LONGEST_BLOCK_MS
from store.records import Entry
from store.redis.client import RedisLink, naming
from store.redis.replies import read_entries, read_time
from store.redis.scripts import ScriptRunner
from store.stored_values import group_begin

_pack = msgspec.msgpack.encode


@dataclass(kw_only=True)
class RedisConsumerGroup:
    """A group of one stream, `p33` unless named. Its blocking reads have a client of their own, `reads`.

    `start` returns the id behind which a new group begins. `last`: key of the last id that was dealt with,
    empty where none is kept. `suspects_alone`: an entry that was delivered more than once before is recovered
    alone.
    """

    stream: str
    dead: str
    start: Callable[[bool], Awaitable[str]]
    suspects_alone: bool
    consumer: str
    keys: Keys
    reads: RedisLink
    writes: RedisLink
    scripts: ScriptRunner
    group: str = GROUP
    last: str = ""

    async def create(self, *, lost: bool) -> None:
        start = await self.start(lost)
        with naming(self.stream), suppress(GroupExistsError):
            if start == "$" and self.last and not await self._exists():
                # Noted first: lost before anything was dealt with, or never made, it begins there again.
                now_ms = read_time(await self.writes.command("TIME"))
                await self.writes.command("SET", self.last, group_begin(now_ms), "NX")
            await self.writes.command("XGROUP", "CREATE", self.stream, self.group, start, "MKSTREAM")

    async def _exists(self) -> bool:
        try:
            await self.writes.command("XPENDING", self.stream, self.group)
        except GroupLostError:
            return False
        return True

    async def read_new(self, *, count: int, block_ms: int) -> list[Entry]:
        # BLOCK 0 would wait for ever.
        block = ("BLOCK", min(block_ms, LONGEST_BLOCK_MS)) if block_ms > 0 else ()
        with naming(self.stream):
            answer = await self.reads.command(
                "XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", count, *block,
                "STREAMS", self.stream, ">",
            )  # fmt: skip
        return read_entries(answer)

    async def recover(self, *, fence: FencingToken, after: str, idle_ms: int, count: int) -> list[Entry]:
        suspects = "alone" if self.suspects_alone else "together"
        with naming(self.stream):
            answer = await self.scripts.run(
                "recover",
                self.keys.prefix, fence, self.group, self.stream, self.consumer,
                after, idle_ms, count, suspects,
            )  # fmt: skip
        return [
            Entry(
                EntryId(entry_id.decode()),
                dict(zip(flat[::2], flat[1::2], strict=True)) if flat else None,
                deliveries,
            )
            for entry_id, deliveries, flat in answer
        ]

    async def consumers(self) -> list[GroupConsumer]:
        players = await self.writes.command("HGETALL", self.keys.players)
        ours = {self.consumer.encode(), *players}
        try:
            with naming(self.stream):
                rows = await self.writes.command("XINFO", "CONSUMERS", self.stream, self.group)
        except GroupLostError:
            return []
        except StoreRefusedError as error:
            # The stream is gone, and its groups with it.
            if "no such key" not in str(error):
                raise
            return []
        found = [
            GroupConsumer(
                row[b"name"].decode(errors="backslashreplace"),
                int(row[b"idle"]),
                int(row[b"pending"]),
                row[b"name"] in ours,
            )
            for row in rows
        ]
        return sorted(found)

    async def take_part(self, fence: FencingToken) -> None:
        await self.scripts.run("take_part", self.keys.prefix, fence, self.consumer)

    async def acknowledge(self, fence: FencingToken, entry_ids: Sequence[EntryId]) -> None:
        await self._acknowledge(fence, entry_ids, ())

    async def dead_letter(self, fence: FencingToken, entry_id: EntryId, fields: Sequence[str]) -> None:
        await self._acknowledge(fence, (entry_id,), fields)

    async def _acknowledge(self, fence: FencingToken, ids: Sequence[EntryId], fields: Sequence[str]) -> None:
        await self.scripts.run(
            "acknowledge",
            self.keys.prefix, fence, self.group, self.stream, self.dead, _pack(ids), _pack(fields),
        )  # fmt: skip
