"""Decision intelligence's part of the store on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from brain.identifiers import FencingToken
from store.intelligence_keys import IntelligenceNames
from store.intelligence_records import (
    BUCKET_TTL_MS,
    MOST_AHEAD,
    MOST_REASONS,
    MOST_SYMBOL_FIELDS,
    MOST_UNKNOWN,
    UNKNOWN_TTL_MS,
    WINDOW_TTL_MS,
    CountedResult,
    WindowWrite,
)
from store.keys import Keys, PlanStream
from store.redis.client import Command, RedisLink
from store.redis.consumer_group import RedisConsumerGroup
from store.redis.runs import unrefused
from store.redis.scripts import ScriptRunner

_pack = msgspec.msgpack.encode
_LIMITS = _pack((MOST_UNKNOWN, MOST_REASONS, MOST_SYMBOL_FIELDS, MOST_AHEAD, BUCKET_TTL_MS))
_LIVES = _pack((WINDOW_TTL_MS, UNKNOWN_TTL_MS))


class RedisIntelligence:
    """`IntelligenceStore` less what it shares with others. `RedisStore` has the links."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    def _open_intelligence(self, group_of: Callable[[PlanStream], RedisConsumerGroup]) -> None:
        self._intelligence = names = IntelligenceNames(self._keys.prefix)
        self.counted_results = group_of(names.results)

    async def count_results(self, fence: FencingToken, results: Sequence[CountedResult]) -> list[bool]:
        stream = self._intelligence.results
        counted = await self._scripts.run(
            "count_results", self._keys.prefix, fence, self._intelligence.base, stream.key, stream.group,
            stream.last_id, _LIMITS, _pack(results),
        )  # fmt: skip
        return list(map(bool, counted))

    async def intelligence_buckets(self, minutes: Sequence[str]) -> list[Mapping[bytes, bytes]]:
        keys = [self._intelligence.bucket(minute) for minute in minutes]
        reads: list[Command] = [("HGETALL", key) for key in keys]
        return unrefused(keys, await self._writes.pipeline(reads)) if keys else []

    async def write_windows(
        self,
        fence: FencingToken,
        windows: Sequence[WindowWrite],
        *,
        unknown: Sequence[tuple[str, int]],
        status: Mapping[str, str],
    ) -> int:
        stream = self._intelligence.results
        fields = [text for field in status.items() for text in field]
        pending = await self._scripts.run(
            "write_windows", self._keys.prefix, fence, self._intelligence.base, stream.key, stream.group,
            _LIVES, _pack(windows), _pack(unknown), _pack(fields),
        )  # fmt: skip
        return int(pending)
