"""Steps of decision intelligence (`count_results.lua`, `write_windows.lua`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from brain.identifiers import EntryId, FencingToken
from store.errors import GroupLostError, WrongTypeError
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
from store.keys import Keys
from store.memory.consumer_group import acknowledge_one, note_acknowledged
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace
from store.memory.streams import Group, parse_id
from store.stored_values import id_parts

_COUNT: Final = re.compile(rb"[0-9]{1,15}")
#: Kinds of fields whose number in a bucket is limited: how they begin, how many, and the field of the others.
_LIMITED: Final = (
    (b"decision:UNKNOWN:", MOST_UNKNOWN, b"decision:UNKNOWN:other"),
    (b"reason:", MOST_REASONS, b"reason:other"),
    (b"symbol_reason:", MOST_SYMBOL_FIELDS - 1, b"symbol_reason:other:other"),
)


class Bucket:
    """Counts of one minute."""

    def __init__(self, stored: Mapping[bytes, bytes]) -> None:
        self._counts = dict(stored)
        self.grown: dict[bytes, bytes] = {}

    def grow(self, field: bytes) -> bytes:
        """Count one more of a field, or of the others of its kind; return the field that was counted."""
        for begin, most, other in _LIMITED:
            if field.startswith(begin) and field not in self._counts and field != other:
                known = sum(each.startswith(begin) and each != other for each in self._counts)
                field = other if known >= most else field
        stored = self._counts.get(field, b"")
        count = int(stored) if _COUNT.fullmatch(stored) else 0
        self._counts[field] = self.grown[field] = str(count + 1).encode()
        return field


class IntelligenceSteps:
    """One script's run."""

    def __init__(self, redis: Keyspace, keys: Keys, names: IntelligenceNames, fence: FencingToken) -> None:
        """Raise FencedError unless `fence` is the current lease."""
        check_fence(redis, keys, fence)
        self._redis = redis
        self._names = names

    def count_results(self, results: Sequence[CountedResult]) -> list[bool]:
        """As `IntelligenceStore.count_results`. Raises WrongTypeError, GroupLostError."""
        redis, names, stream = self._redis, self._names, self._names.results
        self._check_types(
            {
                stream.key: "stream", names.status: "hash", names.counted_ahead: "zset",
                stream.last_id: "string", **{names.bucket(each.minute): "hash" for each in results},
            }
        )  # fmt: skip
        if not results:
            return []
        buckets: dict[str, Bucket] = {}
        pending, due = self._pending_and_due(results)
        for place, each in enumerate(results):
            if place in due:
                key = names.bucket(each.minute)
                bucket = buckets.setdefault(key, Bucket(redis.hash(key)))
                bucket.grow(f"decision:{each.decision}".encode())
                reason = bucket.grow(f"reason:{each.reason}".encode()).removeprefix(b"reason:")
                if each.gate:
                    bucket.grow(b"gate:%b:%b" % (each.gate.encode(), reason))
                if each.symbol:
                    bucket.grow(b"symbol_reason:%b:%b" % (each.symbol.encode(), reason))
        for key, bucket in buckets.items():
            redis.hset(key, [text for pair in bucket.grown.items() for text in pair])
            redis.expire(key, BUCKET_TTL_MS)
        if pending:
            new = [results[place].entry_id for place in sorted(due)]
            self._note(new)
            for entry_id in pending:
                acknowledge_one(redis, stream.key, entry_id, stream.group)
            note_acknowledged(redis, stream.key, stream.group, stream.last_id, pending)
            self._note_ahead(new)
        return [place in due for place in range(len(results))]

    def _pending_and_due(self, results: Sequence[CountedResult]) -> tuple[list[EntryId], set[int]]:
        """Return the results that are pending, and the places of those that were not counted."""
        redis, names = self._redis, self._names
        last = id_parts(redis.text(names.results.last_id) or b"0-0")
        if last[0] > redis.now_ms():
            last = (0, 0)
        ahead = redis.sorted_set(names.counted_ahead)
        pending: list[EntryId] = []
        due: set[int] = set()
        for place, each in enumerate(results):
            entry_id, parts = each.entry_id, parse_id(each.entry_id)
            if entry_id in pending or parts not in self._group().pending:
                continue
            pending.append(entry_id)
            if parts > last and entry_id.encode() not in ahead:
                due.add(place)
        return pending, due

    def _group(self) -> Group:
        stored = self._redis.stream(self._names.results.key)
        group = None if stored is None else stored.groups.get(self._names.results.group)
        if group is None:
            raise GroupLostError(f"NOGROUP No such key or group {self._names.results.group}")
        return group

    def _note(self, counted: Sequence[EntryId]) -> None:
        redis, status = self._redis, self._names.status
        if not counted:
            return
        stored = redis.hash(status)
        before, newest = stored.get(b"processed_total", b""), stored.get(b"last_id", b"0-0")
        processed = (int(before) if _COUNT.fullmatch(before) else 0) + len(counted)
        newest = max([newest, *(each.encode() for each in counted)], key=id_parts)
        seconds = str(redis.now_ms() // 1000)
        redis.hset(status, ("processed_total", str(processed), "last_id", newest, "last_ts", seconds))

    def _note_ahead(self, counted: Sequence[EntryId]) -> None:
        redis, ahead = self._redis, self._names.counted_ahead
        passed = id_parts(redis.text(self._names.results.last_id) or b"0-0")
        for entry_id in counted:
            if (parts := parse_id(entry_id)) > passed:
                redis.zadd(ahead, parts[0], entry_id)
        ranked = redis.sorted_set(ahead).in_order()
        redis.zrem(ahead, [member for score, member in ranked if score < passed[0]])
        ranked = redis.sorted_set(ahead).in_order()
        redis.zrem(ahead, [member for _, member in ranked[: max(len(ranked) - MOST_AHEAD, 0)]])

    def write_windows(
        self,
        windows: Sequence[WindowWrite],
        *,
        unknown: Sequence[tuple[str, int]],
        status: Mapping[str, str],
    ) -> int:
        """As `IntelligenceStore.write_windows`. Raises WrongTypeError."""
        redis, names = self._redis, self._names
        hashes = [(names.decisions(each.name), each.decisions) for each in windows]
        hashes += [(names.gates(each.name), each.gates) for each in windows]
        ranked = [(names.reasons(each.name), each.reasons, WINDOW_TTL_MS) for each in windows]
        ranked.append((names.unknown, tuple(unknown), UNKNOWN_TTL_MS))
        self._check_types(
            {
                names.status: "hash",
                **dict.fromkeys((key for key, _ in hashes), "hash"),
                **dict.fromkeys((key for key, _, _ in ranked), "zset"),
            }
        )
        try:
            pending = len(self._group().pending)
        except (GroupLostError, WrongTypeError):
            pending = 0
        flat = [text for field in status.items() for text in field]
        redis.hset(names.status, ("pending_estimate", str(pending), *flat))
        for key, counts in hashes:
            redis.delete(key)
            if counts:
                redis.hset(key, [text for name, count in counts for text in (name, str(count))])
                redis.expire(key, WINDOW_TTL_MS)
        for key, counts, life_ms in ranked:
            redis.delete(key)
            for name, count in counts:
                redis.zadd(key, count, name)
            redis.expire(key, life_ms)
        return pending

    def _check_types(self, kinds: Mapping[str, str]) -> None:
        for key, wanted in kinds.items():
            if (kind := self._redis.kind(key)) not in (wanted, "none"):
                raise WrongTypeError(f"WRONGTYPE {key} is a {kind}, not a {wanted}")
