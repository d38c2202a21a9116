"""The table that people read, and the same as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.figures import BRIDGE, DAEMON, FLOOR, PREDECESSOR, Row

_MANY = 1000
_TENS = 10
_TENTH = 0.1


class Circumstances(msgspec.Struct, frozen=True):
    """Under what the figures were measured. `load` is the machine's one-minute load when the run began."""

    redis: str
    python: str
    processors: int
    load: float
    rounds: int
    quick: bool
    exchange_latency_ms: float


def circumstances(redis: str, *, rounds: int, quick: bool, exchange_latency_ms: float) -> Circumstances:
    """Those of this run, on this machine."""
    return Circumstances(
        redis=redis,
        python=platform.python_version(),
        processors=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2),
        rounds=rounds,
        quick=quick,
        exchange_latency_ms=exchange_latency_ms,
    )


def as_json(told: Circumstances, table: Sequence[Row]) -> bytes:
    """Circumstances and rows, with the ratios."""
    document: dict[str, Any] = {"circumstances": told, "rows": [_row(row) for row in table]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def print_table(console: Console, told: Circumstances, table: Sequence[Row]) -> None:
    """Print the table."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("", no_wrap=True)
    for heading in ("daemon", FLOOR, BRIDGE, PREDECESSOR, "÷ floor", "÷ bridge"):
        shown.add_column(heading, justify="right", no_wrap=True)
    case = ""
    for row in table:
        if row.case != case:
            case = row.case
            shown.add_row(f"[bold]{case}")
        values = (_number(row.values.get(name)) for name in (DAEMON, FLOOR, BRIDGE, PREDECESSOR))
        ratios = (_number(row.ratio_to(name)) for name in (FLOOR, BRIDGE))
        shown.add_row(f"  {row.measure}{row.unit and f', {row.unit}'}", *values, *ratios)
    console.print(
        f"redis {told.redis}, Python {told.python}, {told.processors} processors, load {told.load:g}, "
        f"{told.rounds} round(s), exchange at {told.exchange_latency_ms:g} ms"
    )
    console.print(shown)


def _row(row: Row) -> Mapping[str, Any]:
    ratios = {name: row.ratio_to(name) for name in (FLOOR, BRIDGE, PREDECESSOR)}
    return {
        "case": row.case,
        "measure": row.measure,
        "unit": row.unit,
        "values": row.values,
        "daemon_over": {name: ratio for name, ratio in ratios.items() if ratio is not None},
    }


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= _MANY:
        return f"{value:,.0f}"
    decimals = 1 if value >= _TENS else 2 if value >= _TENTH or value == 0 else 4
    return f"{value:.{decimals}f}"
