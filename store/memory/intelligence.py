"""In-memory twin of `store.redis.intelligence`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from brain.identifiers import FencingToken
from store.intelligence_keys import IntelligenceNames
from store.intelligence_records import CountedResult, WindowWrite
from store.keys import PlanStream
from store.memory.connection import MemoryConnection
from store.memory.consumer_group import MemoryConsumerGroup
from store.memory.intelligence_steps import IntelligenceSteps


class MemoryIntelligence(MemoryConnection):
    """`IntelligenceStore` less what it shares with others."""

    def _open_intelligence(self, group_of: Callable[[str, PlanStream], MemoryConsumerGroup]) -> None:
        self._intelligence = names = IntelligenceNames(self._keys.prefix)
        self.counted_results = group_of("counted_results", names.results)

    async def count_results(self, fence: FencingToken, results: Sequence[CountedResult]) -> list[bool]:
        return await self._fenced(
            "count_results", fence, lambda: self._counting(fence).count_results(results)
        )

    async def intelligence_buckets(self, minutes: Sequence[str]) -> list[Mapping[bytes, bytes]]:
        keys = [self._intelligence.bucket(minute) for minute in minutes]
        return await self._call(
            "intelligence_buckets", lambda: [dict(self._keyspace.hash(key)) for key in keys]
        )

    async def write_windows(
        self,
        fence: FencingToken,
        windows: Sequence[WindowWrite],
        *,
        unknown: Sequence[tuple[str, int]],
        status: Mapping[str, str],
    ) -> int:
        return await self._fenced(
            "write_windows",
            fence,
            lambda: self._counting(fence).write_windows(windows, unknown=unknown, status=status),
        )

    def _counting(self, fence: FencingToken) -> IntelligenceSteps:
        return IntelligenceSteps(self._keyspace, self._keys, self._intelligence, fence)
