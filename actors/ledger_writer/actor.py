"""Books every executed result once, and keeps a ledger for every symbol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.batch_booking import MOST_TOGETHER, BatchBooking
from actors.ledger_writer.booking import CommitPlanner
from actors.ledger_writer.contained_fills import ContainedFills
from actors.ledger_writer.fill_monitor import FillMonitor
from actors.ledger_writer.reports import ResultReports
from actors.ledger_writer.unknown_outcomes import UnknownOutcomes
from actors.ledger_writer.waiting_results import WaitingResults
from actors.stream_consumer import Attempts, EntryTimes
from actors.waiting import REDIS_TROUBLE, RedisTrouble, lease_fence, present
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
from store.errors import FencedError, GroupLostError
from store.protocol import ResultStore
from store.records import Entry
from supervision import Heartbeat

_BATCH = 256
_BLOCK_MS = 2_000
_STRANDED_AFTER_MS = 1_500
_SWEEP_SEC = 1.0
_UPKEEP_SEC = 5.0
_PAUSE_SEC = 0.1


class LedgerWriter:
    """The only writer of ledgers. A result is acknowledged by the script that books it, and only there."""

    def __init__(
        self,
        store: ResultStore,
        changes: Conflating[SnapshotChanged],
        *,
        adoption: LedgerAdoption,
        fill_monitor: FillMonitor,
        attempts: Attempts,
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
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`attempts` outlives this actor. `mark_ttl_sec`: the life of the mark of a plan whose result came
        before its decision. `reservation_life_sec`: from a decision to the end of its open permit."""
        self._store = store
        self._changes = changes
        self._adoption = adoption
        self._fill_monitor = fill_monitor
        self._attempts = attempts
        #: Entries that one of the strands is at work on: an answer that tarried can give one to both.
        self._in_hand: set[str] = set()
        self._results = results
        self._hedge_mode = hedge_mode
        self._lease = lease
        self._ledgers_adopted = ledgers_adopted
        self._clocks = clocks
        self._times = EntryTimes(clocks, store, "apply.result")
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
            attempts=attempts,
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
        self._trouble = RedisTrouble(f"Redis at {redis_address}", log)
        self._log = log
        self._reading = trio.CancelScope()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Book results until asked to stop; what is in hand then is finished."""
        group_lost = False
        while not heartbeat.stopping.is_set():
            fence = await lease_fence(self._lease, heartbeat, self._trouble)
            await present(self._hedge_mode, "the account's position mode", heartbeat)
            try:
                await self._store.create_result_group(lost=group_lost)
                await self._work(fence, heartbeat)
            except* FencedError:
                self._attempts.interrupted()
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_PAUSE_SEC)
            except* GroupLostError:
                self._times.forget()
                self._log.warning("Consumer group lost", stream="apply.result")
                group_lost = True
            except* REDIS_TROUBLE as trouble:
                self._attempts.interrupted()
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_PAUSE_SEC)

    async def _work(self, fence: str, heartbeat: Heartbeat) -> None:
        await self._clocks.ask_redis(self._store)
        self._times.begin()
        self._results.begin(fence, self._clocks.now())
        self._waiting.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_for_stop, heartbeat)
            nursery.start_soon(self._fill_monitor.listen, heartbeat)
            await self._recover(fence, heartbeat, idle_ms=0)
            await self._adoption.adopt_all(fence, heartbeat)
            self._ledgers_adopted.send(True)
            nursery.start_soon(self._sweep, fence, heartbeat)
            nursery.start_soon(self._follow_changes, fence, heartbeat)
            nursery.start_soon(self._adoption.serve, fence, heartbeat)
            nursery.start_soon(self._fill_monitor.report_unexplained, fence, heartbeat)
            nursery.start_soon(self._unknown.follow, fence, heartbeat)
            while not heartbeat.stopping.is_set():
                entries: list[Entry] = []
                self._results.read(busy_since=None)
                # While Redis is waited for, the first read ends that: it is not to wait for a result.
                sent, block_ms = self._clocks.now(), self._times.block_ms(_BLOCK_MS)
                if self._trouble.text:
                    block_ms = 0
                with heartbeat.idle(), trio.CancelScope() as self._reading:
                    entries = await self._store.new_results(count=_BATCH, block_ms=block_ms)
                self._trouble.over()
                entries = await self._times.delivered(entries, sent, full=len(entries) == _BATCH)
                until = entries[-1].id if entries else None
                self._results.read(busy_since=self._clocks.now(), until=until)
                with self._taken_in_hand(entries) as mine:
                    await self._booking.book(mine, fence, heartbeat)
            nursery.cancel_scope.cancel()

    async def _watch_for_stop(self, heartbeat: Heartbeat) -> None:
        await heartbeat.stopping.wait()
        self._reading.cancel()

    async def _sweep(self, fence: str, heartbeat: Heartbeat) -> None:
        """Find results that a dead reader swallowed; look after ledgers that others have touched."""
        upkeep_at_sec = 0.0
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    await trio.sleep(_SWEEP_SEC)
                # What is in hand lies idle too where it waits for the exchange; it is nobody's to claim.
                if not self._in_hand:
                    await self._recover(fence, strand, idle_ms=_STRANDED_AFTER_MS)
                if trio.current_time() >= upkeep_at_sec:
                    await self._adoption.upkeep(fence)
                    upkeep_at_sec = trio.current_time() + _UPKEEP_SEC

    async def _follow_changes(self, fence: str, heartbeat: Heartbeat) -> None:
        """Give a ledger to symbols that come up after the start."""
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    changes = await self._changes.receive_all()
                await self._adoption.adopt_new([change.snapshot.symbol for change in changes], fence)

    async def _recover(self, fence: str, heartbeat: Heartbeat, *, idle_ms: int) -> None:
        """Book what was delivered before and not acknowledged, oldest first."""
        after = "0"
        while entries := await self._store.recover_results(
            fence=fence, after=after, idle_ms=idle_ms, count=MOST_TOGETHER
        ):
            after = entries[-1].id  # one that waits for an operator is still pending
            entries = [await self._times.recovered(entry) for entry in entries]
            with self._taken_in_hand(entries) as mine:
                await self._booking.book(mine, fence, heartbeat)

    @contextmanager
    def _taken_in_hand(self, entries: list[Entry]) -> Iterator[list[Entry]]:
        """Those of the entries that nobody has in hand already."""
        mine = [entry for entry in entries if entry.id not in self._in_hand]
        self._in_hand.update(entry.id for entry in mine)
        now = self._clocks.now()
        with_symbol = [(symbol, entry.id) for entry in mine if (symbol := symbol_of(entry.fields or {}))]
        for symbol, entry_id in with_symbol:
            self._results.arrive(symbol, entry_id, now)
        try:
            yield mine
            for symbol, entry_id in with_symbol:
                self._results.settle(symbol, entry_id)
        finally:
            self._in_hand.difference_update(entry.id for entry in mine)
