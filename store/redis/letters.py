"""Dead letters that are published again, and the acts of operators, on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import EntryId
from store.keys import Keys
from store.operator_records import DeadStream, LetterView, Republication
from store.operator_values import dead_stream, republished_field
from store.redis.client import RedisLink
from store.redis.replies import read_time, value_of
from store.redis.scripts import ScriptRunner

_pack = msgspec.msgpack.encode


class RedisLetters:
    """Part of `store.redis.store.RedisStore`."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    async def letter_view(self, stream: DeadStream, letter_id: EntryId) -> LetterView | None:
        found = await self._writes.command(
            "XRANGE", dead_stream(self._keys, stream), letter_id, letter_id, "COUNT", 1
        )
        if not found:
            return None
        ((_, fields),) = found
        field = republished_field(stream, fields)
        time, mark = await self._writes.pipeline([("TIME",), ("HGET", self._keys.republished, field)])
        return LetterView(read_time(value_of(time)), fields, value_of(mark))

    async def republish(self, wanted: Republication) -> EntryId | None:
        latest = "" if wanted.latest_ms is None else wanted.latest_ms
        added = await self._scripts.run(
            "republish", self._keys.prefix, wanted.stream, wanted.entry_id, latest, wanted.undecided or "",
            wanted.symbol, _pack(wanted.orders), _pack(wanted.fields), wanted.mark,
        )  # fmt: skip
        return EntryId(added.decode()) if added else None

    async def note_act(self, event: Sequence[str]) -> None:
        await self._writes.command("XADD", self._keys.own_events, "MAXLEN", "~", 10_000, "*", *event)
