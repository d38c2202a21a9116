"""Reads of a real Redis for the desk's pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brain.identifiers import EntryId
from store.desk_protocol import SLICE, AuditRow, FoundEntries, ReadKeys
from store.records import Entry
from store.redis.client import Command, RedisLink, naming
from store.redis.replies import read_time
from store.redis.runs import unrefused
from store.redis.scripts import ScriptRunner


class RedisDesk:
    """Part of `store.redis.store.RedisStore`."""

    _desk: RedisLink
    _desk_scripts: ScriptRunner

    async def audit_rows(
        self, stream: str, *, newest: str = "+", oldest: str = "-", count: int = SLICE
    ) -> list[AuditRow]:
        with naming(stream):
            rows: list[list[bytes]] = await self._desk_scripts.run(
                "audit_rows", stream, newest, oldest, count
            )
        texts = ([text.decode(errors="backslashreplace") for text in row] for row in rows)
        return [AuditRow(EntryId(audit_id), *others) for audit_id, *others in texts]

    async def entries_naming(
        self, stream: str, text: str, *, first: str, last: str, back: bool = False, count: int = SLICE
    ) -> FoundEntries:
        wanted = text.encode(errors="surrogateescape")
        with naming(stream):
            looked, last_id, found = await self._desk_scripts.run(
                "entries_naming", stream, first, last, count, wanted, "back" if back else ""
            )
        entries = [Entry(EntryId(entry_id.decode()), _fields(flat)) for entry_id, flat in found]
        return FoundEntries(looked, EntryId(last_id.decode()), entries)

    async def read_keys(
        self, strings: Sequence[str], hashes: Sequence[str], others: Sequence[str] = ()
    ) -> ReadKeys:
        commands: list[Command] = [("TIME",)]
        commands += [(name, key) for key in strings for name in ("GET", "PTTL")]
        commands += [("HGETALL", key) for key in hashes]
        commands += [("EXISTS", key) for key in others]
        now, *answers = await self._desk.pipeline(commands)
        unrefused(["TIME"], [now])
        ends = 2 * len(strings)
        rest = ends + len(hashes)
        values = [each if isinstance(each, bytes) else None for each in answers[:ends:2]]
        lives = [each if isinstance(each, int) and each >= 0 else None for each in answers[1:ends:2]]
        stored = [each if isinstance(each, dict) else None for each in answers[ends:rest]]
        return ReadKeys(read_time(now), values, lives, stored, [each == 1 for each in answers[rest:]])


def _fields(flat: list[bytes]) -> Mapping[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
