"""Report of a run, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.bounds import verdicts
from bench.cases import CASES
from bench.figures import (
    BRIDGE,
    CHAIN,
    COUNTING,
    DAEMON,
    DESKS,
    EXECUTING,
    FLOOR,
    GOVERNED,
    HAND_WRITTEN,
    PREDECESSOR,
    RECONCILED,
    TOGETHER,
    Failure,
    Row,
)

_MANY = 1000
_TENS = 10
_TENTH = 0.1


class Circumstances(msgspec.Struct, frozen=True):
    """Circumstances of a run. `load` is the machine's one-minute load at its start.

    `symbols`: numbers of symbols. The first is compared in `rounds`; the others show the daemon's growth, in
    `growth_rounds`. `ended_early`: the reason of an incomplete run, else empty.
    """

    redis: str
    python: str
    processors: int
    load: float
    rounds: int
    quick: bool
    exchange_latency_ms: float
    symbols: Sequence[int]
    growth_rounds: int = 1
    took_min: float = 0.0
    ended_early: str = ""

    def in_words(self) -> str:
        """Return the circumstances as text."""
        rounds = f"{self.rounds} round(s)"
        if len(self.symbols) > 1:
            rounds += f", {self.growth_rounds} of growth"
        words = (
            f"redis {self.redis}, Python {self.python}, {self.processors} processors, "
            f"load {self.load:g} at the beginning, exchange at {self.exchange_latency_ms:g} ms, {rounds}, "
            f"{self.took_min:.0f} min"
        )
        return (
            f"{words}; ended early ({self.ended_early}): of some, fewer rounds" if self.ended_early else words
        )


class Report(msgspec.Struct, frozen=True):
    """Results of a run."""

    circumstances: Circumstances
    rows: Sequence[Row]
    failures: Sequence[Failure]
    names: Sequence[str]


def as_json(report: Report) -> bytes:
    """Return circumstances, cases, rows with their ratios, bounds and failures."""
    document: dict[str, Any] = {
        "circumstances": report.circumstances,
        "cases": {
            name: {"measures": CASES[name].measures, "floor": CASES[name].floor} for name in report.names
        },
        "rows": [_row(row) for row in report.rows],
        "bounds": verdicts(_first(report)),
        "failures": report.failures,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def print_report(console: Console, report: Report) -> None:
    """Print table, legend, bounds and failures."""
    console.print(report.circumstances.in_words(), markup=False)
    console.print(_table(report))
    for line in _legend(report.names):
        console.print(line, markup=False)
    console.print()
    for verdict in verdicts(_first(report)):
        if verdict.measured is not None:
            word = "kept    " if verdict.kept else "NOT kept"
            console.print(f"{word}  {verdict.bound}: {number(verdict.measured)}", markup=False)
    for failure in report.failures:
        console.print(
            f"\nFAILED  {failure.case}, {failure.contender}, {failure.symbols} symbols: {failure.why}",
            markup=False,
        )


_COLUMNS = (DAEMON, GOVERNED, RECONCILED, EXECUTING, COUNTING, CHAIN, FLOOR, BRIDGE, *DESKS, PREDECESSOR)
_RATIOS = (FLOOR, BRIDGE, HAND_WRITTEN, TOGETHER)


def _table(report: Report) -> Table:
    first, *others = report.circumstances.symbols
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column(f"{first:,} symbols", no_wrap=True)
    measured = {name for row in report.rows for name in row.values}
    columns = [name for name in _COLUMNS if name in measured]
    over = [name for name in _RATIOS if name in measured]
    headings = [*columns, *(f"÷ {name}" for name in over), *(f"daemon, {count:,}" for count in others)]
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    grown = {(row.symbols, row.case, row.measure): row.values.get(DAEMON) for row in report.rows}
    case = ""
    for row in _first(report):
        if row.case != case:
            case = row.case
            shown.add_row(f"[bold]{case}")
        values = [row.values.get(name) for name in columns]
        ratios = [row.ratio_to(name) for name in over]
        growth = [grown.get((count, row.case, row.measure)) for count in others]
        shown.add_row(
            f"  {row.measure}{row.unit and f', {row.unit}'}", *map(number, values + ratios + growth)
        )
    for failure in report.failures:
        shown.add_row(f"[bold red]FAILED: {failure.case}, {failure.contender}, {failure.symbols:,} symbols")
    return shown


def _legend(names: Sequence[str]) -> list[str]:
    """Return the legend: measure of each case, and each floor with its cases."""
    sharing: dict[str, list[str]] = {}
    for name in names:
        sharing.setdefault(CASES[name].floor, []).append(name)
    measured = [f"{name}: {CASES[name].measures}." for name in names]
    return [*measured, "", *(f"{', '.join(cases)}: {floor}." for floor, cases in sharing.items())]


def _first(report: Report) -> list[Row]:
    return [row for row in report.rows if row.symbols == report.circumstances.symbols[0]]


def _row(row: Row) -> Mapping[str, Any]:
    ratios = {name: row.ratio_to(name) for name in (*_RATIOS, PREDECESSOR)}
    return {
        "symbols": row.symbols,
        "case": row.case,
        "measure": row.measure,
        "unit": row.unit,
        "values": row.values,
        "daemon_over": {name: ratio for name, ratio in ratios.items() if ratio is not None},
    }


def number(value: float | None) -> str:
    """Format a number with its significant digits; empty for None."""
    if value is None:
        return ""
    if value >= _MANY:
        return f"{value:,.0f}"
    decimals = 1 if value >= _TENS else 2 if value >= _TENTH or value == 0 else 4
    return f"{value:.{decimals}f}"
