"""Books every executed result once, and keeps a ledger for every symbol."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.batch_booking import BatchBooking
from actors.ledger_writer.booking import CommitPlanner
from actors.ledger_writer.contained_fills import ContainedFills
from actors.ledger_writer.fill_monitor import FillMonitor
from actors.ledger_writer.reports import ResultReports
from actors.ledger_writer.unknown_outcomes import UnknownOutcomes
from actors.ledger_writer.waiting_results import WaitingResults
from actors.stream_consumer import Batch, FailureCounter, Session, StreamConsumer
from actors.waiting import present
from brain.identifiers import FencingToken
from brain.ledger.result import symbol_of
from channels import (
    Conflating,
    DropOldest,
    LatestValue,
    Lease,
    MetricEvent,
    ResultBook,
    RulesWanted,
    SnapshotChanged,
    UnknownExecution,
    WaitingResult,
)
from clocks.clocks import Clocks
from store.protocol import ResultStore
from supervision import Heartbeat

_BATCH = 256
_UPKEEP_SEC = 5.0


class LedgerWriter(StreamConsumer):
    """The only writer of ledgers. A result is acknowledged by the script that books it, and only there."""

    def __init__(
        self,
        store: ResultStore,
        changes: Conflating[SnapshotChanged],
        *,
        adoption: LedgerAdoption,
        fill_monitor: FillMonitor,
        failures: FailureCounter,
        results: ResultBook,
        rules_wanted: Conflating[RulesWanted],
        hedge_mode: LatestValue[bool],
        lease: LatestValue[Lease],
        ledgers_adopted: LatestValue[bool],
        unknown_executions: LatestValue[tuple[UnknownExecution, ...]],
        waiting_results: LatestValue[tuple[WaitingResult, ...]],
        key_prefix: str,
        reservation_life_sec: float,
        metrics: DropOldest[MetricEvent],
        clocks: Clocks,
        mark_ttl_sec: float,
        log: FilteringBoundLogger,
    ) -> None:
        """`failures` outlives this actor. `mark_ttl_sec`: the life of the mark of a plan whose result came
        before its decision. `reservation_life_sec`: from a decision to the end of its open permit."""
        super().__init__(
            store.results, store, lease, failures, clocks=clocks, log=log,
            batch=_BATCH,
        )  # fmt: skip
        self._changes = changes
        self._adoption = adoption
        self._fill_monitor = fill_monitor
        self._results = results
        self._hedge_mode = hedge_mode
        self._ledgers_adopted = ledgers_adopted
        self._waiting = WaitingResults(waiting_results, log)
        planner = CommitPlanner(clocks, hedge_mode, mark_ttl_ms=round(mark_ttl_sec * 1000))
        contained = ContainedFills(store, fill_monitor, clocks, hedge_mode)
        reports = ResultReports(
            results=results,
            waiting=self._waiting,
            adoption=adoption,
            fill_monitor=fill_monitor,
            rules_wanted=rules_wanted,
            metrics=metrics,
            log=log,
        )
        self._booking = BatchBooking(
            store,
            planner,
            failures=failures,
            contained=contained,
            adoption=adoption,
            waiting=self._waiting,
            reports=reports,
        )
        self._unknown = UnknownOutcomes(
            store,
            fill_monitor.memory,
            contained,
            planner,
            key_prefix=key_prefix,
            shown=unknown_executions,
            results=results,
            reservation_life_sec=reservation_life_sec,
            report=reports.written,
            clocks=clocks,
            log=log,
        )
        fill_monitor.on_events = self._unknown.on_events
        reports.on_unknown = self._unknown.reported

    async def begin(self, session: Session) -> None:
        """Wait for the account's position mode, and begin to follow fills."""
        await present(self._hedge_mode, "the account's position mode", session.heartbeat)
        self._results.begin(session.fence, self._clocks.now())
        self._waiting.begin()
        self._upkeep_at_sec = 0.0
        session.background.start_soon(self._fill_monitor.listen, session.heartbeat)

    async def recovered(self, session: Session) -> None:
        """Adopt the missing ledgers, once pending results are booked, and keep them from then on."""
        await self._adoption.adopt_all(session.fence, session.heartbeat)
        self._ledgers_adopted.send(True)
        self._results.read(busy_since=None)
        for task in (
            self._follow_changes,
            self._adoption.serve,
            self._fill_monitor.report_unexplained,
            self._unknown.follow,
        ):
            session.background.start_soon(task, session.fence, session.heartbeat)

    async def sweep(self, session: Session) -> None:
        """Look after ledgers that others have changed, each 5 s."""
        if trio.current_time() >= self._upkeep_at_sec:
            await self._adoption.upkeep(session.fence)
            self._upkeep_at_sec = trio.current_time() + _UPKEEP_SEC

    async def handle(self, batch: Batch) -> None:
        """Book the results in their order."""
        now = self._clocks.now()
        if batch.new_until is not None:
            self._results.read(busy_since=now, until=batch.new_until)
        with_symbol = [
            (symbol, entry.id) for entry in batch.entries if (symbol := symbol_of(entry.fields or {}))
        ]
        for symbol, entry_id in with_symbol:
            self._results.arrive(symbol, entry_id, now)
        await self._booking.book(batch.entries, batch.fence, batch.heartbeat)
        for symbol, entry_id in with_symbol:
            self._results.finish(symbol, entry_id)
        if batch.new_until is not None:
            self._results.read(busy_since=None)

    async def _follow_changes(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Adopt ledgers of symbols that come up after the start."""
        with heartbeat.task() as task:
            while True:
                with task.idle():
                    changes = await self._changes.receive_all()
                await self._adoption.adopt_new([change.snapshot.symbol for change in changes], fence)
