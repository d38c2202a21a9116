"""Time lines: what happened, each line with the time since the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from brain.identifiers import EntryId
from brain.moment import iso_utc


class Dated(msgspec.Struct, frozen=True):
    """An entry of a stream: its id has Redis's time."""

    entry_id: EntryId
    fields: Mapping[str, str]

    @property
    def at_ms(self) -> int:
        """Return the time of the entry."""
        return entry_ms(self.entry_id)


class Happened(NamedTuple):
    """One line before it is shown. `order`: among those of one millisecond, the lower comes first."""

    at_ms: int
    order: int
    what: str


class Happening(msgspec.Struct, frozen=True):
    """One line of the time line. `at` is Redis's clock, or for the Governor's block its own.

    `after_ms`: milliseconds since the line before; None for the first line.
    """

    at: str
    what: str
    after_ms: int | None = None


def timeline_of(happened: Iterable[Happened], most: int | None = None) -> list[Happening]:
    """Return the lines in their order, the latest `most` of them."""
    in_order = sorted(happened, key=lambda each: each[:2])
    shown: list[Happening] = []
    before: int | None = None
    for each in in_order:
        after_ms = None if before is None else each.at_ms - before
        shown.append(Happening(iso_utc(each.at_ms), each.what, after_ms))
        before = each.at_ms
    return shown if most is None else shown[-most:]


def entry_ms(entry_id: EntryId | str) -> int:
    """Return the time of an entry (Redis's clock, epoch ms); 0 for an id that has none."""
    milliseconds = entry_id.partition("-")[0]
    return int(milliseconds) if milliseconds.isdecimal() else 0


def duration_ms(milliseconds: int) -> str:
    """Return a duration in words: `3 ms`, `1.2 s`, `75 s`."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1_000
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
