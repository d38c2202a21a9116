"""Snapshots (`write_snapshots.lua`, `prove_snapshots.lua`, `write_marks.lua`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from store.keys import Keys
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace
from store.records import MarkWrite, SnapshotWrite


def write_snapshots(redis: Keyspace, keys: Keys, fence: str, snapshots: Sequence[SnapshotWrite]) -> None:
    """Replace snapshot hashes whole."""
    check_fence(redis, keys, fence)
    for snapshot in snapshots:
        key = keys.snapshot(snapshot.symbol)
        redis.delete(key)
        redis.hset(key, snapshot.fields)
        redis.expire(key, snapshot.ttl_sec * 1000)


def prove_snapshots(
    redis: Keyspace,
    keys: Keys,
    fence: str,
    symbols: Sequence[str],
    *,
    times: Mapping[str, str],
    verified_by: str,
    ttl_sec: int,
) -> list[str]:
    """Move the time of existing snapshots; the symbols that have none."""
    check_fence(redis, keys, fence)
    missing: list[str] = []
    for symbol in symbols:
        key = keys.snapshot(symbol)
        if _exists(redis, key):
            for name in ("ts_epoch", "ts_epoch_ms", "ts_iso"):
                redis.hset(key, (name, times[name]))
            redis.hset(key, ("verified_by", verified_by))
            redis.expire(key, ttl_sec * 1000)
        else:
            missing.append(symbol)
    return missing


def write_marks(redis: Keyspace, keys: Keys, fence: str, marks: Sequence[MarkWrite]) -> None:
    """Move the mark price of existing snapshots."""
    check_fence(redis, keys, fence)
    for mark in marks:
        key = keys.snapshot(mark.symbol)
        if _exists(redis, key):
            for name in ("mark_price", "unrealized_pnl", "mark_ts_epoch_ms"):
                redis.hset(key, (name, getattr(mark, name)))


def _exists(redis: Keyspace, key: str) -> bool:
    return redis.kind(key) == "hash" and b"position_amt" in redis.hash(key)
