"""The manual lane: plans that operators publish, read only while they keep its switch on."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from brain.identifiers import EntryId, FencingToken
from store.consumers import GroupConsumer
from store.execution_protocol import ExecutorStore
from store.records import Entry

#: Time between two looks at the switch (seconds).
_LOOK_SEC = 0.1


class ManualLane:
    """The consumer group of the manual lane; it delivers nothing while the lane is closed."""

    def __init__(self, store: ExecutorStore) -> None:
        self._store = store
        self._group = store.manual_plans

    @property
    def stream(self) -> str:
        """The stream's key."""
        return self._group.stream

    @property
    def group(self) -> str:
        """The group's name."""
        return self._group.group

    async def create(self, *, lost: bool) -> None:
        """Make sure that the group exists."""
        await self._group.create(lost=lost)

    async def read_new(self, *, count: int, block_ms: int) -> list[Entry]:
        """Read new entries while the lane is open, for up to `block_ms`.

        Redis delivers to a read that waits without a look at the switch, so none waits there. Entries of a
        lane that was closed during the read stay pending.
        """
        until_sec = trio.current_time() + block_ms / 1000
        while True:
            if await self._store.manual_lane_open():
                entries = await self._group.read_new(count=count, block_ms=0)
                if entries:
                    return entries if await self._store.manual_lane_open() else []
            if trio.current_time() >= until_sec:
                return []
            await trio.sleep(_LOOK_SEC)

    async def recover(self, *, fence: FencingToken, after: str, idle_ms: int, count: int) -> list[Entry]:
        """Claim pending entries while the lane is open."""
        if not await self._store.manual_lane_open():
            return []
        return await self._group.recover(fence=fence, after=after, idle_ms=idle_ms, count=count)

    async def consumers(self) -> list[GroupConsumer]:
        """Return the group's consumers by name."""
        return await self._group.consumers()

    async def take_part(self, fence: FencingToken) -> None:
        """Record this consumer as one of ours."""
        await self._group.take_part(fence)

    async def acknowledge(self, fence: FencingToken, entry_ids: Sequence[EntryId]) -> None:
        """Acknowledge entries for which nothing is written."""
        await self._group.acknowledge(fence, entry_ids)

    async def dead_letter(self, fence: FencingToken, entry_id: EntryId, fields: Sequence[str]) -> None:
        """Append `fields` to the dead-letter stream, and acknowledge the entry."""
        await self._group.dead_letter(fence, entry_id, fields)
