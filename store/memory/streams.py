"""Streams with consumer groups."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from heapq import nsmallest

from brain.identifiers import EntryId

IdParts = tuple[int, int]

#: Approximate trimming (`MAXLEN ~`) removes whole nodes of this many entries, as Redis does.
_NODE_ENTRIES = 100
_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")


def parse_id(text: str) -> IdParts:
    """Parse `ms-seq` or `ms` alone. Raises ValueError."""
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(f"no stream id: {text!r}")
    return int(found[1]), int(found[2] or 0)


def format_id(entry_id: IdParts) -> EntryId:
    """Return the id as Redis writes it."""
    return EntryId(f"{entry_id[0]}-{entry_id[1]}")


@dataclass
class PendingEntry:
    """Entry that was delivered and not acknowledged."""

    consumer: str
    delivered_ms: int
    deliveries: int = 1


@dataclass
class Group:
    """Consumer group: its last delivered id and its pending entries."""

    last_delivered: IdParts
    pending: dict[IdParts, PendingEntry] = field(default_factory=dict)
    #: By consumer: when it last asked for entries.
    seen_ms: dict[str, int] = field(default_factory=dict)

    def pending_behind(
        self, after: IdParts, *, now_ms: int, idle_ms: int, count: int
    ) -> list[tuple[IdParts, PendingEntry]]:
        """Return the `count` lowest pending ids behind `after` that are idle for `idle_ms`."""
        found = (
            entry_id
            for entry_id, entry in self.pending.items()
            if entry_id > after and now_ms - entry.delivered_ms >= idle_ms
        )
        return [(entry_id, self.pending[entry_id]) for entry_id in nsmallest(count, found)]

    def copy(self) -> Group:
        """Return a group that changes apart from this one."""
        pending = {entry_id: replace(entry) for entry_id, entry in self.pending.items()}
        return replace(self, pending=pending, seen_ms=dict(self.seen_ms))


class Stream:
    """Entries by id, in order, and the groups that read them."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.last_id: IdParts = (0, 0)
        self._ids: list[IdParts] = []
        self._fields: dict[IdParts, Mapping[bytes, bytes]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def copy(self) -> Stream:
        """Return a stream that changes apart from this one; the entries, which never change, are shared."""
        other = Stream()
        other.groups = {name: group.copy() for name, group in self.groups.items()}
        other.last_id = self.last_id
        other._ids, other._fields = list(self._ids), dict(self._fields)
        return other

    def add(
        self,
        fields: Mapping[bytes, bytes],
        *,
        now_ms: int,
        max_len: int | None = None,
        entry_id: IdParts | None = None,
    ) -> IdParts:
        """Append an entry. Its id is Redis's clock unless it is given, and always above the last.

        Raises ValueError for a given id that is not above the last.
        """
        if entry_id is None:
            entry_id = (now_ms, 0) if now_ms > self.last_id[0] else (self.last_id[0], self.last_id[1] + 1)
        elif entry_id <= self.last_id:
            raise ValueError(f"{format_id(entry_id)} is not above the stream's last id")
        self.last_id = entry_id
        self._ids.append(entry_id)
        self._fields[entry_id] = fields
        if max_len is not None and len(self._ids) >= max_len + _NODE_ENTRIES:
            for trimmed in self._ids[:-max_len]:
                del self._fields[trimmed]
            del self._ids[:-max_len]
        return entry_id

    def remove(self, entry_id: IdParts) -> bool:
        """Delete an entry; it stays pending where it was delivered."""
        if self._fields.pop(entry_id, None) is None:
            return False
        del self._ids[bisect_left(self._ids, entry_id)]
        return True

    def get(self, entry_id: IdParts) -> Mapping[bytes, bytes] | None:
        """Return an entry's fields, None when it is deleted."""
        return self._fields.get(entry_id)

    def behind(self, entry_id: IdParts, count: int) -> list[IdParts]:
        """Return the first `count` ids above `entry_id`."""
        start = bisect_right(self._ids, entry_id)
        return self._ids[start : start + count]

    def newest_between(self, after: IdParts, before: IdParts | None, count: int) -> list[IdParts]:
        """Return the last `count` ids above `after` and below `before` (None: any), newest first."""
        end = len(self._ids) if before is None else bisect_left(self._ids, before)
        start = max(bisect_right(self._ids, after), end - count)
        return self._ids[start:end][::-1]

    def ids(self) -> Iterable[IdParts]:
        """Return all ids, oldest first."""
        return tuple(self._ids)
