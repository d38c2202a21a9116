"""Reports what has become of result entries: to decisions, metrics, log and page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.fill_monitor import FillMonitor
from actors.ledger_writer.waiting_results import WaitingResults
from brain.identifiers import Symbol
from brain.ledger.result import ExecutedResult, RefusedResult, names_wrong_precision
from channels import Conflating, Count, DropOldest, MetricEvent, Observe, ResultBook, RulesWanted
from monitoring.service_log import LogLines
from store.records import Entry, ResultCommit

Written = tuple[Entry, ExecutedResult | RefusedResult, ResultCommit, int]


class _Moved:
    """Report of results that were written together, made once. `symbols`: of each that moved a ledger."""

    def __init__(self) -> None:
        self.lags_ms = Counter[int]()
        self.symbols: list[Symbol] = []
        self.amounts: dict[str, str] = {}
        self.lines: list[str] = []


class ResultReports:
    """Part of the ledger writer: called once for each entry that is written, or for several together."""

    def __init__(
        self,
        *,
        results: ResultBook,
        waiting: WaitingResults,
        adoption: LedgerAdoption,
        fill_monitor: FillMonitor,
        rules_wanted: Conflating[RulesWanted],
        metrics: DropOldest[MetricEvent],
        log: FilteringBoundLogger,
    ) -> None:
        self._results = results
        self._waiting = waiting
        self._adoption = adoption
        self._fill_monitor = fill_monitor
        self._rules_wanted = rules_wanted
        self._metrics = metrics
        self._log = log
        #: Called after each result that says that an outcome is unknown.
        self.on_unknown: Callable[[], None] = lambda: None

    def written(
        self, entry: Entry, result: ExecutedResult | RefusedResult, commit: ResultCommit, booked_ms: int
    ) -> None:
        """Report a result whose `commit` was written at `booked_ms` (Redis's clock)."""
        self.written_together([(entry, result, commit, booked_ms)])

    def written_together(self, written: Sequence[Written]) -> None:
        """Report results in the order of their commits: one log write, and one event a series of metrics."""
        moved = _Moved()
        for entry, result, commit, booked_ms in written:
            if isinstance(result, RefusedResult):
                self._refused(entry, result)
            else:
                self._booked(entry, result, commit, booked_ms, moved)
        for lag_ms, times in moved.lags_ms.items():
            self._metrics.send(Observe("p33_ledger_lag_seconds", lag_ms / 1000, times))
        self._adoption.booked(moved.amounts)
        for label, times in Counter(map(self._adoption.label, moved.symbols)).items():
            self._metrics.send(Count("p33_ledger_update_total", (label,), times))
        if moved.lines:
            self._log.info(LogLines(moved.lines))

    def dead_letter(self, entry: Entry, error: str) -> None:
        """Report an entry that has become a dead letter."""
        self._waiting.done(entry.id)
        self._metrics.send(Count("p33_dead_letters_total", ("apply.result",)))
        self._log.warning("Result entry moved to the dead letters", entry_id=entry.id, error=error)

    def _refused(self, entry: Entry, result: RefusedResult) -> None:
        if not result.had_no_permit and result.unknown is None:
            self._results.end(result.plan_id)
        self._results.finish(result.symbol or Symbol(""), entry.id)
        if names_wrong_precision(entry.fields or {}):
            self._rules_wanted.send(RulesWanted("an order was refused for its precision"))
        if result.unknown is not None:
            self.on_unknown()

    def _booked(
        self, entry: Entry, result: ExecutedResult, commit: ResultCommit, booked_ms: int, moved: _Moved
    ) -> None:
        self._waiting.done(entry.id)
        lag = "unknown"
        if entry.published_ms is not None:
            lag_ms = max(booked_ms - entry.published_ms, 0)
            lag = f"{lag_ms / 1000:.3f}s"
            moved.lags_ms[lag_ms] += 1
        grown = {order.order_id for order in commit.orders}
        if commit.permit_after == "" or any(order.final for order in result.orders):
            self._results.end(result.plan_id)
        self._results.finish(
            result.symbol,
            entry.id,
            [(order.order_id, order.cumulative) for order in result.orders if order.order_id in grown],
        )
        for order in result.orders:
            self._fill_monitor.booked(result.symbol, order.order_id, order.cumulative)
        if not commit.ledger_fields:
            return
        fields = dict(zip(commit.ledger_fields[::2], commit.ledger_fields[1::2], strict=True))
        moved.amounts[result.symbol] = fields["last_known_amt"]
        moved.symbols.append(result.symbol)
        moved.lines += [
            f"{result.symbol}: Ledger updated from order {order.order_id}, lag={lag}"
            for order in result.orders
        ]
