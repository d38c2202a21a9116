"""The table of `check --measure`: Markdown to paste into a report, or JSON."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgspec

from commands.check.measure.rows import Outcome, Row, unmeasured
from commands.console.terminal import printable

_COLUMNS = ("asked", "found", "documents", "result")


class Header(msgspec.Struct, frozen=True):
    """The line above the table."""

    exchange: str
    key_kind: str
    measured_at_ms: int

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.measured_at_ms / 1000, UTC)
        return f"Measured at {self.exchange} with a key of kind {self.key_kind}, {at:%Y-%m-%d %H:%M} UTC."


class _Document(msgspec.Struct, frozen=True):
    ok: bool
    exchange: str
    key_kind: str
    measured_at_ms: int
    rows: list[Row]


class Table:
    """Rows in the order in which they were found."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, *rows: Row) -> None:
        """Append rows."""
        self.rows += rows

    def not_measured(self, asked: str, why: str) -> None:
        """Append a row for a measurement that could not be made."""
        self.add(unmeasured(asked, why))

    @property
    def exit_code(self) -> int:
        """1 where a measurement could not be made, or something has to be corrected at once."""
        return 1 if any(row.is_failure for row in self.rows) else 0

    def markdown(self, header: Header) -> str:
        """Return the header, the table, and the number of rows of each result."""
        lines = [_markdown_line(_COLUMNS), _markdown_line(["---"] * len(_COLUMNS))]
        lines += (
            _markdown_line((row.asked, row.found, str(row.documents), row.outcome)) for row in self.rows
        )
        counts = Counter(row.outcome for row in self.rows)
        summary = ", ".join(f"{counts[each]} {each}" for each in Outcome if counts[each])
        return "\n".join([str(header), "", *lines, "", f"{summary or 'nothing measured'}."])

    def json(self, header: Header) -> str:
        """Return the same as one JSON document."""
        document = _Document(
            self.exit_code == 0, header.exchange, header.key_kind, header.measured_at_ms, self.rows
        )
        return msgspec.json.encode(document).decode()


def _markdown_line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(printable(cell).replace('|', chr(92) + '|') for cell in cells)} |"
