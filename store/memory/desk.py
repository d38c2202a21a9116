"""In-memory twin of `store.redis.desk`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from brain.identifiers import EntryId
from store.desk_protocol import SLICE, AuditRow, FoundEntries, ReadKeys
from store.keys import Keys
from store.memory.connection import MemoryConnection
from store.memory.keyspace import Keyspace
from store.memory.streams import IdParts, format_id, parse_id
from store.records import Entry

_LONGEST, _MOST_FOUND = 256, 20
_LAST = (2**64 - 1, 2**64 - 1)
_SOURCE = re.compile(rb'[^{}]*?"source":"([^"]*)"')


class MemoryDesk(MemoryConnection):
    """`DeskStore`."""

    async def audit_rows(
        self, stream: str, *, newest: str = "+", oldest: str = "-", count: int = SLICE
    ) -> list[AuditRow]:
        return await self._run(audit_rows, stream, newest, oldest, count)

    async def entries_naming(
        self, stream: str, text: str, *, first: str, last: str, back: bool = False, count: int = SLICE
    ) -> FoundEntries:
        return await self._run(entries_naming, stream, text, first, last, count, back=back)

    async def read_keys(
        self, strings: Sequence[str], hashes: Sequence[str], others: Sequence[str] = ()
    ) -> ReadKeys:
        return await self._run(read_keys, strings, hashes, others)


def audit_rows(
    redis: Keyspace, _keys: Keys, stream: str, newest: str, oldest: str, count: int
) -> list[AuditRow]:
    """As `audit_rows.lua`. Raises WrongTypeError."""
    return [
        _row(entry_id, fields)
        for entry_id, fields in _slice(redis, stream, low=oldest, high=newest, count=count, back=True)
    ]


def entries_naming(
    redis: Keyspace, _keys: Keys, stream: str, text: str, first: str, last: str, count: int, *, back: bool
) -> FoundEntries:
    """As `entries_naming.lua`. Raises WrongTypeError."""
    low, high = (last, first) if back else (first, last)
    wanted = text.encode(errors="surrogateescape")
    found: list[Entry] = []
    looked, last_id = 0, EntryId("")
    for entry_id, fields in _slice(redis, stream, low=low, high=high, count=count, back=back):
        if any(wanted in value for value in fields.values()):
            found.append(Entry(entry_id, fields))
        looked, last_id = looked + 1, entry_id
        if len(found) == _MOST_FOUND:
            break
    return FoundEntries(looked, last_id, found)


def read_keys(
    redis: Keyspace, _keys: Keys, strings: Sequence[str], hashes: Sequence[str], others: Sequence[str]
) -> ReadKeys:
    """As `DeskStore.read_keys`."""
    lives = [redis.ttl_ms(key) for key in strings]
    return ReadKeys(
        redis.now_ms(),
        [redis.text(key) if redis.kind(key) == "string" else None for key in strings],
        [life if life >= 0 else None for life in lives],
        [dict(redis.hash(key)) if redis.kind(key) in ("hash", "none") else None for key in hashes],
        [redis.kind(key) != "none" for key in others],
    )


def _slice(
    redis: Keyspace, key: str, *, low: str, high: str, count: int, back: bool
) -> list[tuple[EntryId, Mapping[bytes, bytes]]]:
    stream = redis.stream(key)
    if stream is None:
        return []
    lowest, highest = _bound(low, above=True), _bound(high, above=False)
    ids = [each for each in stream.ids() if lowest <= each <= highest]
    chosen = ids[::-1][:count] if back else ids[:count]
    return [(format_id(each), stream.get(each) or {}) for each in chosen]


def _bound(text: str, *, above: bool) -> IdParts:
    """Return the first id that a bound still takes in."""
    if text in ("-", "+"):
        return (0, 0) if text == "-" else _LAST
    exclusive = text.startswith("(")
    ms, seq = parse_id(text.removeprefix("("))
    if "-" not in text and not above:
        seq = _LAST[1]
    if not exclusive:
        return ms, seq
    if above:
        return ms, seq + 1
    return (ms, seq - 1) if seq else (ms - 1, _LAST[1])


def _row(audit_id: EntryId, fields: Mapping[bytes, bytes]) -> AuditRow:
    def first(*names: bytes) -> str:
        value = next((fields[name] for name in names if name in fields), b"")
        return _cut(value)

    source = _source(fields.get(b"record", b""))
    return AuditRow(
        audit_id,
        first(b"plan_id"),
        first(b"symbol"),
        first(b"allow", b"granted", b"outcome"),
        first(b"reason", b"step"),
        first(b"entry_id"),
        first(b"stream") if source is None else _cut(source),
    )


def _source(record: bytes) -> bytes | None:
    for member in (b'"plan":{', b'"fields":{'):
        _, there, rest = record.partition(member)
        found = _SOURCE.match(rest) if there else None
        if found is not None:
            return found[1]
    return None


def _cut(value: bytes) -> str:
    return value[:_LONGEST].decode(errors="backslashreplace")
