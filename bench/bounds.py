"""What the daemon has to reach, and whether a run shows it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.figures import BRIDGE, FLOOR, Row


class Bound(msgspec.Struct, frozen=True):
    """A limit of one measure: at most, or (`least`) at least. `over`: of its ratio to that contender."""

    case: str
    measure: str
    limit: float
    unit: str = ""
    over: str | None = None
    least: bool = False

    def told(self) -> str:
        """The bound in words."""
        beside = "" if self.over is None else f" × {self.over}"
        return f"{self.case}, {self.measure} {'≥' if self.least else '≤'} {self.limit:g}{self.unit}{beside}"


class Verdict(msgspec.Struct, frozen=True):
    """What was measured beside a bound. `measured` is None when it was not."""

    bound: str
    measured: float | None
    kept: bool


_ONE = "plan → permit, one at a time"
BOUNDS = (
    Bound(_ONE, "p50", 2, over=FLOOR),
    Bound(_ONE, "p50", 1.2, over=BRIDGE),
    Bound(_ONE, "p99", 3, over=FLOOR),
    Bound("throughput, five symbols", "plans answered", 9_000, " /s", least=True),
    Bound("throughput, five symbols", "plans answered", 0.6, over=BRIDGE, least=True),
    Bound("throughput, all symbols", "plans answered", 9_000, " /s", least=True),
    Bound("throughput, all symbols", "plans answered", 0.6, over=BRIDGE, least=True),
    Bound("fill → ledger, one at a time", "p99", 5, " ms"),
    Bound("event → snapshot in Redis", "p99", 5, " ms"),
    Bound("idle", "oldest snapshot at any look", 2.5, " s"),
    Bound("idle", "request weight", 60, " /min"),
    Bound("idle", "CPU", 3, " % of a core"),
    Bound("after all of it", "resident memory", 100, " MB"),
    Bound("cold start → first permit", "took", 2.5, " s"),
    Bound("crash → next permit", "took", 100, " ms"),
    Bound("crash → next booking", "took", 100, " ms"),
)


def verdicts(table: Sequence[Row], daemon: str) -> list[Verdict]:
    """Each bound beside `table`, rows for the one number of symbols that the bounds are meant for."""
    by_name = {(row.case, row.measure): row for row in table}
    found: list[Verdict] = []
    for bound in BOUNDS:
        row = by_name.get((bound.case, bound.measure))
        measured = None
        if row is not None:
            measured = row.values.get(daemon) if bound.over is None else row.ratio_to(bound.over)
        kept = measured is not None and (measured >= bound.limit if bound.least else measured <= bound.limit)
        found.append(Verdict(bound.told(), measured, kept))
    return found
