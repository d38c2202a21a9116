"""Snapshots (`write_snapshots.lua`, `prove_snapshots.lua`, `write_marks.lua`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brain.identifiers import FencingToken
from store.keys import Keys
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace
from store.records import MarkWrite, SnapshotWrite

_MINUTE_MS = 60_000


def write_snapshots(
    redis: Keyspace, keys: Keys, fence: FencingToken, snapshots: Sequence[SnapshotWrite]
) -> None:
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
    fence: FencingToken,
    written_ms: Mapping[str, int],
    *,
    times: Mapping[str, str],
    verified_by: str,
    ttl_sec: int,
    marks: Mapping[str, MarkWrite],
) -> list[str]:
    """Set the times of snapshots that still are as last written; return the symbols of the others."""
    check_fence(redis, keys, fence)
    missing: list[str] = []
    for symbol, was_ms in written_ms.items():
        key = keys.snapshot(symbol)
        if _exists(redis, key) and redis.hash(key).get(b"ts_epoch_ms") == str(was_ms).encode():
            for name in ("ts_epoch", "ts_epoch_ms", "ts_iso"):
                redis.hset(key, (name, times[name]))
            redis.hset(key, ("verified_by", verified_by))
            if symbol in marks:
                _mark(redis, key, marks[symbol])
            if was_ms // _MINUTE_MS != int(times["ts_epoch_ms"]) // _MINUTE_MS:
                redis.expire(key, ttl_sec * 1000)
        else:
            missing.append(symbol)
    return missing


def write_marks(redis: Keyspace, keys: Keys, fence: FencingToken, marks: Sequence[MarkWrite]) -> None:
    """Set the mark price of existing snapshots."""
    check_fence(redis, keys, fence)
    for mark in marks:
        key = keys.snapshot(mark.symbol)
        if _exists(redis, key):
            _mark(redis, key, mark)


def _mark(redis: Keyspace, key: str, mark: MarkWrite) -> None:
    redis.hset(key, ("mark_price", mark.mark_price, "mark_ts_epoch_ms", mark.mark_ts_epoch_ms))
    if mark.unrealized_pnl:
        redis.hset(key, ("unrealized_pnl", mark.unrealized_pnl))
    else:
        redis.hdel(key, (b"unrealized_pnl",))


def _exists(redis: Keyspace, key: str) -> bool:
    return redis.kind(key) == "hash" and b"position_amt" in redis.hash(key)
