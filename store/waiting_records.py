"""Records of what waits on the streams of plans and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from brain.identifiers import EntryId

#: Entries of each kind, fields of each, and bytes of each name or value, that a read returns.
MOST_ENTRIES: Final = 20
MOST_FIELDS: Final = 24
LONGEST_FIELD: Final = 200


class PendingEntry(msgspec.Struct, frozen=True):
    """An entry that a consumer was given and has not acknowledged. `fields` is None where it was deleted."""

    id: EntryId
    consumer: bytes
    idle_ms: int
    deliveries: int
    fields: Mapping[bytes, bytes] | None


class DeadEntry(msgspec.Struct, frozen=True):
    """A dead letter."""

    id: EntryId
    fields: Mapping[bytes, bytes]


class StreamWaiting(msgspec.Struct, frozen=True):
    """Entries that wait on one stream: the oldest pending entries, and the newest dead letters.

    `pending` and `letters` are the numbers of all. `error`: what could not be read, and why; else empty.
    """

    pending: int = 0
    oldest: tuple[PendingEntry, ...] = ()
    letters: int = 0
    newest: tuple[DeadEntry, ...] = ()
    error: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """Entries that wait on both streams, at one moment of Redis's clock."""

    now_ms: int
    plans: StreamWaiting
    results: StreamWaiting
