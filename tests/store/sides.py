"""Plans and results are read alike: one test for both."""

from __future__ import annotations

from typing import NamedTuple

from brain.identifiers import EntryId
from store.protocol import ConsumerGroup, Store
from store.records import Entry
from tests.store.backends import KEYS, Backend, Outside, pending


class Side(NamedTuple):
    """One of the two streams, with what reads it under a lease."""

    backend: Backend
    results: bool

    @property
    def store(self) -> Store:
        return self.backend.store

    @property
    def outside(self) -> Outside:
        return self.backend.outside

    @property
    def stream(self) -> str:
        return KEYS.results if self.results else KEYS.plans

    def group(self, by: Store | None = None) -> ConsumerGroup:
        """The stream's group, as `by` or this side's store reads it."""
        store = by or self.store
        return store.results if self.results else store.plans

    def publish(self, *names: str) -> list[EntryId]:
        return publish(self.outside, self.stream, *names)

    def pending(self) -> dict[str, tuple[str, int]]:
        return pending(self.outside, self.stream)

    async def create(self, *, lost: bool = False) -> None:
        await self.group().create(lost=lost)

    async def new(self, *, count: int = 100, block_ms: int = 0, by: Store | None = None) -> list[Entry]:
        return await self.group(by).read_new(count=count, block_ms=block_ms)

    async def recover(self, *, after: str = "0", idle_ms: int = 0) -> Entry | None:
        """Return the first that `recover_some` finds."""
        found = await self.recover_some(after=after, idle_ms=idle_ms, count=1)
        return found[0] if found else None

    async def recover_some(self, *, after: str = "0", idle_ms: int = 0, count: int = 100) -> list[Entry]:
        fence = self.backend.fence
        return await self.group().recover(fence=fence, after=after, idle_ms=idle_ms, count=count)


def publish(outside: Outside, stream: str, *names: str) -> list[EntryId]:
    return [outside.xadd(stream, {"plan_id": name}) for name in names]
