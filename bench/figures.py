"""Figures of cases, and their ratio to the daemon's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from bench.latency import percentile

DAEMON = "daemon"
FLOOR = "floor"
BRIDGE = "bridge"
PREDECESSOR = "predecessor"
#: A consumer as a desk would write it, the same with the symbols of a read together, and on FastStream.
HAND_WRITTEN = "hand-written"
TOGETHER = "hand-written-together"
FASTSTREAM = "faststream"
DESKS = (HAND_WRITTEN, TOGETHER, FASTSTREAM)
#: The daemon with its own Governor.
GOVERNED = "governed"
#: The daemon with its own reconcile engine.
RECONCILED = "reconciled"
#: The daemon with its own executor; the same with decision intelligence, too.
EXECUTING = "executing"
COUNTING = "counting"
#: The daemon with every role on.
CHAIN = "chain"
CONTENDERS = (
    FLOOR,
    BRIDGE,
    PREDECESSOR,
    *DESKS,
    DAEMON,
    GOVERNED,
    RECONCILED,
    EXECUTING,
    COUNTING,
    CHAIN,
)

_FOR_P99 = 100
_FOR_P999 = 1000


class Figure(msgspec.Struct, frozen=True):
    """Figure that a case has measured for one contender."""

    case: str
    measure: str
    unit: str
    value: float


def latency_figures(case: str, latencies_sec: Sequence[float]) -> list[Figure]:
    """Return the figures of latencies: p99 from a hundred on, p99.9 from a thousand on; else the slowest."""
    ordered = sorted(latencies_sec)
    measures = [("p50", 0.5), ("p99", 0.99) if len(ordered) >= _FOR_P99 else ("slowest", 1.0)]
    if len(ordered) >= _FOR_P999:
        measures.append(("p99.9", 0.999))
    return [Figure(case, name, "ms", percentile(ordered, share) * 1000) for name, share in measures]


class Failure(msgspec.Struct, frozen=True):
    """Case that could not be measured for one contender, with the reason."""

    symbols: int
    case: str
    contender: str
    why: str


class Row(msgspec.Struct, frozen=True):
    """Row: one measure of one case, by contender, medians over the rounds. `symbols`: of the account."""

    symbols: int
    case: str
    measure: str
    unit: str
    values: Mapping[str, float]

    def ratio_to(self, contender: str, of: str = DAEMON) -> float | None:
        """Return the value `of` one as a multiple of the contender's; None where either is missing or 0."""
        ours, theirs = self.values.get(of), self.values.get(contender)
        return ours / theirs if ours is not None and theirs else None


def rows(symbols: int, figures: Sequence[tuple[str, Figure]]) -> list[Row]:
    """Return the table of (contender, figure) pairs, cases and measures in the order of appearance."""
    gathered: dict[str, dict[tuple[str, str], dict[str, list[float]]]] = {}
    for contender, figure in figures:
        measures = gathered.setdefault(figure.case, {})
        by_contender = measures.setdefault((figure.measure, figure.unit), {})
        by_contender.setdefault(contender, []).append(figure.value)
    return [
        Row(symbols, case, measure, unit, {name: median(values) for name, values in by_contender.items()})
        for case, measures in gathered.items()
        for (measure, unit), by_contender in measures.items()
    ]
