"""A stream's consumer group on a real Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from store.errors import GroupExistsError
from store.keys import GROUP, Keys
from store.protocol import LONGEST_BLOCK_MS
from store.records import Entry
from store.redis.client import RedisLink, naming
from store.redis.replies import read_entries
from store.redis.scripts import ScriptRunner

_pack = msgspec.msgpack.encode


class RedisConsumerGroup:
    """The group `p33` of one stream. Its blocking reads have a client of their own, `reads`."""

    def __init__(
        self,
        stream: str,
        dead: str,
        start: Callable[[bool], Awaitable[str]],
        *,
        suspects_alone: bool,
        consumer: str,
        keys: Keys,
        reads: RedisLink,
        writes: RedisLink,
        scripts: ScriptRunner,
    ) -> None:
        """`stream` and `dead`: keys of the stream and of its dead letters. `start` returns the id behind
        which a new group begins, and takes `lost`. `suspects_alone`: recover an entry that was delivered more
        than once before without others.
        """
        self.stream = stream
        self._dead = dead
        self._start = start
        self._suspects = "alone" if suspects_alone else "together"
        self._consumer = consumer
        self._prefix = keys.prefix
        self._reads = reads
        self._writes = writes
        self._scripts = scripts

    async def create(self, *, lost: bool) -> None:
        start = await self._start(lost)
        with naming(self.stream), suppress(GroupExistsError):
            await self._writes.command("XGROUP", "CREATE", self.stream, GROUP, start, "MKSTREAM")

    async def read_new(self, *, count: int, block_ms: int) -> list[Entry]:
        # BLOCK 0 would wait for ever.
        block = ("BLOCK", min(block_ms, LONGEST_BLOCK_MS)) if block_ms > 0 else ()
        with naming(self.stream):
            answer = await self._reads.command(
                "XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", count, *block,
                "STREAMS", self.stream, ">",
            )  # fmt: skip
        return read_entries(answer)

    async def recover(self, *, fence: str, after: str, idle_ms: int, count: int) -> list[Entry]:
        with naming(self.stream):
            answer = await self._scripts.run(
                "recover",
                self._prefix, fence, GROUP, self.stream, self._consumer,
                after, idle_ms, count, self._suspects,
            )  # fmt: skip
        return [
            Entry(
                entry_id.decode(), dict(zip(flat[::2], flat[1::2], strict=True)) if flat else None, deliveries
            )
            for entry_id, deliveries, flat in answer
        ]

    async def acknowledge(self, fence: str, entry_ids: Sequence[str]) -> None:
        await self._acknowledge(fence, entry_ids, ())

    async def dead_letter(self, fence: str, entry_id: str, fields: Sequence[str]) -> None:
        await self._acknowledge(fence, (entry_id,), fields)

    async def _acknowledge(self, fence: str, ids: Sequence[str], fields: Sequence[str]) -> None:
        await self._scripts.run(
            "acknowledge", self._prefix, fence, GROUP, self.stream, self._dead, _pack(ids), _pack(fields)
        )
