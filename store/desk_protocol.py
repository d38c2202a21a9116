"""Protocol of what the pages of the desk read: streams in slices, and keys by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from brain.identifiers import EntryId
from store.records import Entry

#: Entries that one script reads: Redis serves no other client in that time, about 1 ms.
SLICE = 100


class AuditRow(NamedTuple):
    """What lists show of an entry of an audit stream; a text that it lacks is empty."""

    audit_id: EntryId
    plan_id: str
    symbol: str
    answer: str
    reason: str
    entry_id: str
    source: str


class FoundEntries(NamedTuple):
    """Entries that have a text; `looked` at so many, `last_id` the last of them."""

    looked: int
    last_id: EntryId
    found: list[Entry]


class ReadKeys(NamedTuple):
    """Values of keys, in the order that was asked for; a key of another type, or without a right, is None.

    `lives_ms` are those of the strings: None for what does not expire. `now_ms` is Redis's clock. `exist`:
    of the keys that only their existence was asked of; False without a right, too.
    """

    now_ms: int
    strings: Sequence[bytes | None]
    lives_ms: Sequence[int | None]
    hashes: Sequence[Mapping[bytes, bytes] | None]
    exist: Sequence[bool]


class DeskStore(Protocol):
    """Store of the desk's pages; nothing is written."""

    async def audit_rows(
        self, stream: str, *, newest: str = "+", oldest: str = "-", count: int = SLICE
    ) -> list[AuditRow]:
        """Return rows of an audit stream between two ids, newest first; none where there is no stream."""

    async def entries_naming(
        self, stream: str, text: str, *, first: str, last: str, back: bool = False, count: int = SLICE
    ) -> FoundEntries:
        """Look for a text in the values of `count` entries from `first` on, newest first if `back`.

        At most 20 are found at once: then `last_id` is the last of them.
        """

    async def read_keys(
        self, strings: Sequence[str], hashes: Sequence[str], others: Sequence[str] = ()
    ) -> ReadKeys:
        """Return values of strings and hashes, and whether `others` exist, in one round trip."""
