"""In-memory twin of `store.redis.waiting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest

from store.errors import StoreRefusedError
from store.keys import GROUP, Keys
from store.memory.connection import MemoryConnection
from store.memory.keyspace import Keyspace
from store.memory.reads import open_permits
from store.memory.streams import Stream, format_id
from store.records import SymbolState
from store.waiting_records import (
    LONGEST_FIELD,
    MOST_ENTRIES,
    MOST_FIELDS,
    DeadEntry,
    PendingEntry,
    StreamWaiting,
    Waiting,
)


class MemoryWaiting(MemoryConnection):
    """`WaitingStore`."""

    async def waiting(self) -> Waiting:
        return await self._run(waiting)

    async def open_permits(self, symbols: Sequence[str]) -> dict[str, SymbolState]:
        return await self._run(open_permits, symbols)


def waiting(redis: Keyspace, keys: Keys) -> Waiting:
    """As `waiting.lua`."""
    plans = _stream(redis, keys.plans, keys.dead_plans)
    return Waiting(redis.now_ms(), plans, _stream(redis, keys.results, keys.dead_results))


def _stream(redis: Keyspace, key: str, dead: str) -> StreamWaiting:
    count, oldest, letters, newest = 0, list[PendingEntry](), 0, list[DeadEntry]()
    errors: dict[str, None] = {}
    try:
        stream = redis.stream(key)
        if stream is None or GROUP not in stream.groups:
            raise StoreRefusedError(f"NOGROUP No such key '{key}' or consumer group '{GROUP}'")  # noqa: TRY301
        pending = stream.groups[GROUP].pending
        count = len(pending)
        for entry_id in nsmallest(MOST_ENTRIES, pending):
            entry, fields = pending[entry_id], stream.get(entry_id)
            oldest.append(
                PendingEntry(
                    format_id(entry_id),
                    entry.consumer.encode(),
                    redis.now_ms() - entry.delivered_ms,
                    entry.deliveries,
                    None if fields is None else _cut(fields),
                )
            )
    except StoreRefusedError as error:
        errors[str(error)] = None
    try:
        found = redis.stream(dead) or Stream()
        letters = len(found)
        for entry_id in found.newest_between((0, 0), None, MOST_ENTRIES):
            newest.append(DeadEntry(format_id(entry_id), _cut(found.get(entry_id) or {})))
    except StoreRefusedError as error:
        errors[str(error)] = None
    return StreamWaiting(count, tuple(oldest), letters, tuple(newest), "; ".join(errors))


def _cut(fields: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    kept = list(fields.items())[:MOST_FIELDS]
    return {name[:LONGEST_FIELD]: value[:LONGEST_FIELD] for name, value in kept}
