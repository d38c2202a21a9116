"""Acknowledgement and recovery of stream entries (`acknowledge.lua`, `recover.lua`)."""

from __future__ import annotations

from collections.abc import Sequence

from store.keys import GROUP, Keys
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.memory_redis import MemoryRedis
from store.memory.streams import format_id, parse_id
from store.records import Entry

LONGEST_DEAD = 10_000


def acknowledge(
    redis: Keyspace,
    keys: Keys,
    fence: str,
    *,
    stream: str,
    dead: str,
    entry_ids: Sequence[str],
    fields: Sequence[str],
) -> None:
    """Acknowledge entries; with `fields`, append those to the dead-letter stream first."""
    check_fence(redis, keys, fence)
    for key in (stream, dead):
        redis.stream(key)
    if fields:
        redis.xadd(dead, paired(fields), max_len=LONGEST_DEAD)
    for entry_id in entry_ids:
        acknowledge_one(redis, stream, entry_id)


def acknowledge_one(redis: Keyspace, stream: str, entry_id: str) -> None:
    """Acknowledge an entry (XACK), if stream, group and pending entry exist."""
    stored = redis.stream(stream)
    if stored is not None and GROUP in stored.groups:
        stored.groups[GROUP].pending.pop(parse_id(entry_id), None)


def recover(
    redis: MemoryRedis,
    keys: Keys,
    fence: str,
    *,
    stream: str,
    consumer: str,
    after: str,
    idle_ms: int,
    count: int,
    suspects_alone: bool,
) -> list[Entry]:
    """Claim the oldest idle pending entries behind `after`; a deleted one is listed, not claimed.

    With `suspects_alone`, an entry that was delivered more than once before is returned alone.
    """
    check_fence(redis.keyspace, keys, fence)
    stored, group = redis.group(stream, GROUP)
    now_ms = redis.now_ms()
    start = (-1, 0) if after == "0" else parse_id(after)
    recovered: list[Entry] = []
    for entry_id, pending in group.pending_behind(start, now_ms=now_ms, idle_ms=idle_ms, count=count):
        suspect = suspects_alone and pending.deliveries > 1
        if suspect and recovered:
            break
        fields = stored.get(entry_id)
        recovered.append(Entry(format_id(entry_id), fields, pending.deliveries + 1))
        if fields is not None:
            pending.consumer, pending.delivered_ms = consumer, now_ms
            pending.deliveries += 1
        if suspect:
            break
    return recovered
