"""Markdown of a run's JSON for docs/performance.md: the bounds, and the daemon's growth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bench.bounds import BOUNDS, Bound
from bench.figures import DAEMON, PREDECESSOR, Failure, Row
from bench.report import Circumstances, number

_NOT_MEASURED = "—"
#: Measure instead of p99 for few latencies.
_OF_FEW = {"p99": "slowest"}


class Document(msgspec.Struct, frozen=True):
    """Fields of the JSON of `bench.report.as_json` that are read here."""

    circumstances: Circumstances
    rows: Sequence[Row]
    failures: Sequence[Failure]


def markdown(text: bytes) -> str:
    """Return circumstances, the table of bounds, that of growth if any, and failures.

    Raises msgspec.MsgspecError for JSON of another form.
    """
    document = msgspec.json.decode(text, type=Document)
    parts = [f"{document.circumstances.in_words()}.", _bounds(document)]
    if len(document.circumstances.symbols) > 1:
        parts.append(_growth(document))
    parts += [
        f"Failed: {failure.case}, {failure.contender}, {failure.symbols:,} symbols."
        for failure in document.failures
    ]
    return "\n\n".join(parts) + "\n"


def _bounds(document: Document) -> str:
    compared = document.circumstances.symbols[0]
    rows = {(row.case, row.measure): row for row in document.rows if row.symbols == compared}
    lines: list[Sequence[str]] = []
    before = ""
    for bound in BOUNDS:
        row = rows.get((bound.case, bound.measure))
        what = bound.what
        measured = bound.measured(row)
        kept = _NOT_MEASURED if measured is None else "yes" if bound.keeps(measured) else "**no**"
        lines.append(
            (
                "the same" if what == before else what,
                bound.predecessor,
                _of_the_predecessor(bound, rows) if what != before else "",
                bound.limit_text,
                _measured(bound, row),
                kept,
            )
        )
        before = what
    heading = (
        f"{compared:,} symbols",
        "predecessor, where it ran",
        "predecessor, in this run",
        "bound",
        "measured",
        "kept",
    )
    return _table(heading, lines, "--|-|-|-|-|-")


def _measured(bound: Bound, row: Row | None) -> str:
    value, measured = None if row is None else row.values.get(bound.of), bound.measured(row)
    if row is None or value is None or measured is None:
        return _NOT_MEASURED
    shown = _with_unit(value, row)
    if bound.over is None:
        return shown
    return (
        f"{number(measured)} × {bound.over} ({shown}; {bound.over} {_with_unit(row.values[bound.over], row)})"
    )


def _of_the_predecessor(bound: Bound, rows: dict[tuple[str, str], Row]) -> str:
    for measure in (bound.measure, _OF_FEW.get(bound.measure, "")):
        row = rows.get((bound.case, measure))
        if row is not None and PREDECESSOR in row.values:
            of_few = "" if measure == bound.measure else f" ({measure})"
            return _with_unit(row.values[PREDECESSOR], row) + of_few
    return _NOT_MEASURED


def _growth(document: Document) -> str:
    sizes = sorted(document.circumstances.symbols)
    values = {(row.case, row.measure, row.symbols): row.values.get(DAEMON) for row in document.rows}
    named = {(row.case, row.measure): row.unit for row in document.rows if DAEMON in row.values}
    lines = [
        (
            f"{case}, {measure}{unit and f', {unit}'}",
            *(number(values.get((case, measure, size))) or _NOT_MEASURED for size in sizes),
        )
        for (case, measure), unit in named.items()
    ]
    return _table(("symbols", *(f"{size:,}" for size in sizes)), lines, "--" + "|-:" * len(sizes))


def _with_unit(value: float, row: Row) -> str:
    return f"{number(value)} {row.unit}".rstrip()


def _table(heading: Sequence[str], lines: Iterable[Sequence[str]], rule: str) -> str:
    return "\n".join([_line(heading), f"|{rule}|", *map(_line, lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
