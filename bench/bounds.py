"""Bounds for the daemon, alone and with other roles, and their check against a run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.figures import BRIDGE, CHAIN, DAEMON, FLOOR, GOVERNED, HAND_WRITTEN, Row


class Bound(msgspec.Struct, frozen=True):
    """Limit of one measure of one contender: at most, or (`least`) at least.

    `over`: of its ratio to that contender. `predecessor`: the predecessor's figure in production.
    """

    case: str
    measure: str
    limit: float
    unit: str = ""
    over: str | None = None
    least: bool = False
    predecessor: str = ""
    of: str = DAEMON

    @property
    def limit_text(self) -> str:
        """Limit as text."""
        beside = "" if self.over is None else f" × {self.over}"
        return f"{'≥' if self.least else '≤'} {self.limit:,g}{self.unit}{beside}"

    def text(self) -> str:
        """Return the bound in words."""
        return f"{self.what} {self.limit_text}"

    @property
    def what(self) -> str:
        """Case and measure, with the contender where it is not the daemon alone."""
        return f"{self.case}, {self.measure}" + ("" if self.of == DAEMON else f" ({self.of})")

    def measured(self, row: Row | None) -> float | None:
        """Return the value to compare with the limit; None when it was not measured."""
        if row is None:
            return None
        return row.values.get(self.of) if self.over is None else row.ratio_to(self.over, self.of)

    def keeps(self, measured: float | None) -> bool:
        """Return True if a value keeps the bound; None does not."""
        return measured is not None and (measured >= self.limit if self.least else measured <= self.limit)


class Verdict(msgspec.Struct, frozen=True):
    """Measured value beside its bound; None when it was not measured."""

    bound: str
    measured: float | None
    kept: bool


_ONE = "plan → permit, one at a time"
_FEW, _ALL, _ANSWERED = "throughput, five symbols", "throughput, all symbols", "plans answered"
_FAR = "5 ms from Redis"
_TEN_TRADE = "ten accounts on one Redis, 20 plans/s each"
_RATES = "890 /s at 20 ms, 0 at 300 ms"
_WHOLE = "the whole process"
BOUNDS = (
    Bound(_ONE, "p50", 2, over=FLOOR, predecessor="5,900 ms"),
    Bound(_ONE, "p50", 1.15, over=BRIDGE),
    Bound(_ONE, "p99", 3, over=FLOOR, predecessor="6,200 ms"),
    Bound("plan → permit while ten people look, 100 /s", "p99, as a multiple", 1.3, " ×"),
    Bound("plan → permit, open loop, 100 /s", "p99", 2, over=BRIDGE),
    Bound("plan → permit, open loop, 1000 /s", "p99", 2, over=BRIDGE),
    Bound(_FEW, _ANSWERED, 9_000, " /s", least=True, predecessor=_RATES),
    Bound(_FEW, _ANSWERED, 0.6, over=BRIDGE, least=True),
    Bound(_FEW, _ANSWERED, 5, over=HAND_WRITTEN, least=True),
    Bound(_ALL, _ANSWERED, 9_000, " /s", least=True, predecessor=_RATES),
    Bound(_ALL, _ANSWERED, 0.6, over=BRIDGE, least=True),
    Bound(_ALL, _ANSWERED, 5, over=HAND_WRITTEN, least=True),
    Bound(_FAR, "one at a time, p50 in round trips", 2.2),
    Bound(_FAR, "five symbols, plans answered ÷ at 0 ms", 0.9, least=True),
    Bound(_FAR, "all symbols, plans answered ÷ at 0 ms", 0.9, least=True),
    Bound(_ONE, "p50", 2.5, over=DAEMON, of=GOVERNED),
    Bound(_FEW, _ANSWERED, 0.6, over=DAEMON, of=GOVERNED, least=True),
    Bound(_ALL, _ANSWERED, 0.6, over=DAEMON, of=GOVERNED, least=True),
    Bound("fill → ledger, one at a time", "p99", 5, " ms", predecessor="1–10 s"),
    Bound("results", "booked", 4_000, " /s", least=True),
    Bound("results of one symbol", "pending at a start", 4_000, " /s", least=True),
    Bound("results of one symbol", "unread", 4_000, " /s", least=True),
    Bound("event → snapshot in Redis", "p99", 5, " ms", predecessor="never pushed"),
    Bound("idle", "oldest snapshot at any look", 2.5, " s", predecessor="33 symbols in 6–11 s"),
    Bound("idle", "request weight", 60, " /min", predecessor="~960"),
    Bound("idle", "CPU", 3, " % of a core", predecessor="~5–10 %"),
    Bound("ten accounts on one Redis, idle", "CPU in sum", 30, " % of a core"),
    Bound("ten accounts on one Redis, idle", "PSS of the largest", 80, " MB"),
    Bound(_TEN_TRADE, "p99 of the slowest, as a multiple of alone", 2, " ×"),
    Bound("after all of it", "resident memory", 100, " MB", predecessor="44 MB (20 symbols)"),
    Bound("cold start → first permit", "took", 2.5, " s", predecessor="> 10 s"),
    Bound("crash → next permit", "took", 100, " ms", predecessor=_WHOLE),
    Bound("crash → next booking", "took", 100, " ms", predecessor=_WHOLE),
    Bound("intent → order at the exchange", "p50", 10, " ms", of=CHAIN),
    Bound("intent → order at the exchange", "p99", 50, " ms", of=CHAIN),
)


def verdicts(table: Sequence[Row]) -> list[Verdict]:
    """Check each bound against `table`, rows for the number of symbols of the bounds."""
    by_name = {(row.case, row.measure): row for row in table}
    found: list[Verdict] = []
    for bound in BOUNDS:
        measured = bound.measured(by_name.get((bound.case, bound.measure)))
        found.append(Verdict(bound.text(), measured, bound.keeps(measured)))
    return found
