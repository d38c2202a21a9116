"""Reports what has become of result entries: to decisions, metrics, log and page."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.fill_monitor import FillMonitor
from actors.ledger_writer.waiting_results import WaitingResults
from brain.identifiers import Symbol
from brain.ledger.result import ExecutedResult, RefusedResult, names_wrong_precision
from channels import Conflating, Count, DropOldest, MetricEvent, Observe, ResultBook, RulesWanted
from store.records import Entry, ResultCommit


class ResultReports:
    """Part of the ledger writer: called once for each entry that is written."""

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
        if isinstance(result, RefusedResult):
            self._refused(entry, result)
        else:
            self._booked(entry, result, commit, booked_ms)

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

    def _booked(self, entry: Entry, result: ExecutedResult, commit: ResultCommit, booked_ms: int) -> None:
        self._waiting.done(entry.id)
        lag = "unknown"
        if entry.published_ms is not None:
            lag_sec = max(booked_ms - entry.published_ms, 0) / 1000
            lag = f"{lag_sec:.3f}s"
            self._metrics.send(Observe("p33_ledger_lag_seconds", lag_sec))
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
        self._adoption.booked(result.symbol, fields["last_known_amt"])
        self._metrics.send(Count("p33_ledger_update_total", (self._adoption.label(result.symbol),)))
        for order in result.orders:
            self._log.info(f"{result.symbol}: Ledger updated from order {order.order_id}, lag={lag}")
