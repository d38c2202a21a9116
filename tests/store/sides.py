"""Plans and results are read alike: one test for both."""

from __future__ import annotations

from typing import NamedTuple

from store.protocol import Store
from store.records import Entry
from tests.store.backends import Outside


class Side(NamedTuple):
    """One of the two streams, with what reads it."""

    store: Store
    stream: str
    results: bool

    async def create(self, *, lost: bool = False) -> None:
        if self.results:
            await self.store.create_result_group(lost=lost)
        else:
            await self.store.create_plan_group(lost=lost)

    async def new(self, *, count: int = 100, block_ms: int = 0, by: Store | None = None) -> list[Entry]:
        store = by or self.store
        if self.results:
            return await store.new_results(count=count, block_ms=block_ms)
        return await store.new_plans(count=count, block_ms=block_ms)

    async def recover(
        self, fence: str, *, after: str = "0", idle_ms: int = 0, by: Store | None = None
    ) -> Entry | None:
        """Return the first that `recover_some` finds."""
        found = await self.recover_some(fence, after=after, idle_ms=idle_ms, count=1, by=by)
        return found[0] if found else None

    async def recover_some(
        self,
        fence: str,
        *,
        after: str = "0",
        idle_ms: int = 0,
        count: int = 100,
        by: Store | None = None,
    ) -> list[Entry]:
        store = by or self.store
        recover = store.recover_results if self.results else store.recover_plans
        return await recover(fence=fence, after=after, idle_ms=idle_ms, count=count)


def publish(outside: Outside, stream: str, *names: str) -> list[str]:
    return [outside.xadd(stream, {"plan_id": name}) for name in names]
