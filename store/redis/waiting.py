"""Reads of a real Redis for the page of what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from brain.identifiers import EntryId
from store.keys import GROUP, Keys
from store.records import SymbolState
from store.redis.replies import read_time
from store.redis.scripts import ScriptRunner
from store.stored_values import read_open_permits
from store.waiting_records import (
    LONGEST_FIELD,
    MOST_ENTRIES,
    MOST_FIELDS,
    DeadEntry,
    PendingEntry,
    StreamWaiting,
    Waiting,
)

#: Symbols a script handles at once: Redis serves no other client in that time, less than 1 ms.
_SYMBOLS_A_SCRIPT = 200


class RedisWaiting:
    """`WaitingStore`. `RedisStore` has the links."""

    _keys: Keys
    _scripts: ScriptRunner

    async def waiting(self) -> Waiting:
        keys = self._keys
        now, plans, results = await self._scripts.run(
            "waiting", GROUP, MOST_ENTRIES, MOST_FIELDS, LONGEST_FIELD,
            keys.plans, keys.dead_plans, keys.results, keys.dead_results,
        )  # fmt: skip
        return Waiting(read_time(now), _stream(plans), _stream(results))

    async def open_permits(self, symbols: Sequence[str]) -> dict[str, SymbolState]:
        found: dict[str, SymbolState] = {}
        for begin in range(0, len(symbols), _SYMBOLS_A_SCRIPT):
            some = symbols[begin : begin + _SYMBOLS_A_SCRIPT]
            for symbol, flat in await self._scripts.run("open_permits", self._keys.prefix, *some):
                state = read_open_permits(_pairs(flat))
                if state is not None:
                    found[symbol.decode()] = state
        return found


def _stream(answer: Any) -> StreamWaiting:
    pending, oldest, letters, newest = answer
    errors = dict.fromkeys(
        each.decode(errors="backslashreplace") for each in (pending, letters) if isinstance(each, bytes)
    )
    waits = () if isinstance(pending, bytes) else tuple(map(_pending, oldest))
    dead = () if isinstance(letters, bytes) else tuple(_dead(*each) for each in newest)
    return StreamWaiting(
        pending=0 if isinstance(pending, bytes) else pending,
        oldest=waits,
        letters=0 if isinstance(letters, bytes) else letters,
        newest=dead,
        error="; ".join(errors),
    )


def _pending(row: Any) -> PendingEntry:
    entry_id, consumer, idle_ms, deliveries, flat = row
    fields = None if flat is None else _pairs(flat)
    return PendingEntry(EntryId(entry_id.decode()), consumer, idle_ms, deliveries, fields)


def _dead(entry_id: bytes, flat: Any) -> DeadEntry:
    return DeadEntry(EntryId(entry_id.decode()), _pairs(flat))


def _pairs(flat: Sequence[bytes]) -> Mapping[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
