"""Compact columns of what an audit stream holds: some 60 bytes an entry, and its plan id."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from monitoring.pacing import pause
from store.desk_protocol import AuditRow


class Answer(IntEnum):
    """An answer as a column has it."""

    NONE = -1
    DENY = 0
    ALLOW = 1


#: Places that are looked at between two pauses: some 0.2 ms.
_AT_A_TIME = 4_000
_NAMES_AT_A_TIME = 2_000
#: Values of one column, and rows of all, that are copied between two pauses.
_COPIED_AT_A_TIME, _ROWS_AT_A_TIME = 20_000, 2_000
_ANSWERS = {"true": Answer.ALLOW, "plan": Answer.ALLOW, "false": Answer.DENY, "refused": Answer.DENY}


class Names:
    """Texts that many entries share, each by a number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        self._folded: list[str] = []

    def __len__(self) -> int:
        return len(self._texts)

    def number(self, text: str) -> int:
        """Return the text's number; a new one for a new text."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self._texts)
            self._texts.append(text)
            self._folded.append(text.casefold())
        return found

    def number_of(self, text: str) -> int | None:
        """Return the number of a text that was seen, else None."""
        return self._numbers.get(text)

    def text(self, number: int) -> str:
        return self._texts[number]

    async def beginning(self, text: str) -> frozenset[int]:
        """Return the numbers of the texts that begin so, in any case."""
        wanted, numbers = text.casefold(), list[int]()
        for first in range(0, len(self._folded), _NAMES_AT_A_TIME):
            some = enumerate(self._folded[first : first + _NAMES_AT_A_TIME], first)
            numbers += [number for number, each in some if each.startswith(wanted)]
            await pause()
        return frozenset(numbers)


class AllNames(msgspec.Struct):
    """The names of all streams, so that one number means one text in each."""

    symbols: Names
    reasons: Names
    sources: Names


class Columns:
    """Entries in the order of their ids, oldest first. Rows are added at the new end, or at the old one."""

    def __init__(self, names: AllNames) -> None:
        self.names = names
        self.at_ms = array("q")
        self.seq = array("Q")
        self.entry_ms = array("q")
        self.entry_seq = array("Q")
        self.latency_ms = array("q")
        self.answer = array("b")
        self.symbol = array("L")
        self.reason = array("L")
        self.source = array("L")
        self.plan_id: list[str] = []

    def __len__(self) -> int:
        return len(self.plan_id)

    def add(self, row: AuditRow) -> None:
        """Append a row. Latency is -1 where it is not known when the plan was published."""
        names = self.names
        at_ms, seq = parts(row.audit_id)
        entry_ms, entry_seq = parts(row.entry_id)
        self.at_ms.append(at_ms)
        self.seq.append(seq)
        self.entry_ms.append(entry_ms)
        self.entry_seq.append(entry_seq)
        self.latency_ms.append(max(at_ms - entry_ms, 0) if entry_ms else -1)
        self.answer.append(_ANSWERS.get(row.answer, Answer.NONE))
        self.symbol.append(names.symbols.number(row.symbol))
        self.reason.append(names.reasons.number(row.reason))
        self.source.append(names.sources.number(row.source))
        self.plan_id.append(row.plan_id)

    def audit_id(self, place: int) -> str:
        return f"{self.at_ms[place]}-{self.seq[place]}"

    def entry_id(self, place: int) -> str:
        """Return the id of the entry that was answered; empty where it is not known."""
        return f"{self.entry_ms[place]}-{self.entry_seq[place]}" if self.entry_ms[place] else ""

    async def place_of(self, plan_id: str) -> int | None:
        """Return the place of the newest entry of a plan."""
        place = None
        while (found := await _index(self.plan_id, plan_id, 0 if place is None else place + 1)) is not None:
            place = found
        return place

    async def place_of_entry(self, entry_id: str) -> int | None:
        """Return the place of the answer to the entry of that id."""
        at_ms, seq = parts(entry_id)
        place = await _index(self.entry_ms, at_ms, 0) if at_ms else None
        while place is not None and (self.entry_seq[place] != seq or not self.plan_id[place]):
            place = await _index(self.entry_ms, at_ms, place + 1)
        return place

    def between(self, since_ms: int | None, until_ms: int | None) -> tuple[int, int]:
        """Return the places of the first entry since, and behind the last until."""
        low = 0 if since_ms is None else bisect_left(self.at_ms, since_ms)
        high = len(self) if until_ms is None else bisect_left(self.at_ms, until_ms + 1)
        return low, high

    def end_at(self, audit_id: str) -> int:
        """Return the place behind the entry of that id, or behind the last that is older."""
        at_ms, seq = parts(audit_id)
        place = bisect_left(self.at_ms, at_ms)
        while place < len(self) and self.at_ms[place] == at_ms and self.seq[place] <= seq:
            place += 1
        return place

    def put_behind(self, newer: Columns) -> None:
        """Append columns that are newer than all of these; no place of an entry changes."""
        for mine, others in zip(self._all(), newer._all(), strict=True):
            mine.extend(others)

    def behind(self, older: Sequence[Columns]) -> Generator[None, None, Columns]:
        """Return these with columns before them, each older than the one before it; yield after 0.2 ms."""
        joined, copied = Columns(self.names), 0
        for piece in (*reversed(older), self):
            yield from joined._copy(piece, 0)
            copied += len(piece)
            if copied >= _ROWS_AT_A_TIME:
                copied = 0
                yield
        return joined

    def newest(self, count: int) -> Generator[None, None, Columns]:
        """Return the newest `count` of these; yield after 0.2 ms."""
        kept = Columns(self.names)
        yield from kept._copy(self, max(len(self) - count, 0))
        return kept

    def _copy(self, others: Columns, begin: int) -> Generator[None, None, None]:
        for column, theirs in zip(self._all(), others._all(), strict=True):
            for first in range(begin, len(theirs), _COPIED_AT_A_TIME):
                column.extend(theirs[first : first + _COPIED_AT_A_TIME])
                if len(theirs) > _ROWS_AT_A_TIME:
                    yield

    def _all(self) -> tuple[Any, ...]:
        return (
            self.at_ms, self.seq, self.entry_ms, self.entry_seq, self.latency_ms, self.answer, self.symbol,
            self.reason, self.source, self.plan_id,
        )  # fmt: skip


def parts(entry_id: str) -> tuple[int, int]:
    """Return time and number of an entry's id; (0, 0) for a text that is none."""
    ms, _, seq = entry_id.partition("-")
    if not (ms.isascii() and ms.isdigit() and len(ms) < 16):
        return 0, 0
    return int(ms), int(seq) if seq.isascii() and seq.isdigit() and len(seq) < 20 else 0


async def _index(column: Any, value: str | int, begin: int) -> int | None:
    """Return the first place of a value from `begin` on."""
    for first in range(begin, len(column), _AT_A_TIME):
        try:
            place: int = column.index(value, first, first + _AT_A_TIME)
        except ValueError:
            await pause()
        else:
            return place
    return None
