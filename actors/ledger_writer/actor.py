"""Books every executed result once, and keeps a ledger for every symbol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal

import trio
from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.batch_booking import MOST_TOGETHER, JointBooking
from actors.ledger_writer.booking import (
    BookingPlan,
    Unbookable,
    Waiting,
    plan_booking,
    plan_burial,
    plan_release,
)
from actors.ledger_writer.contained_fills import ContainedFills
from actors.ledger_writer.fill_monitor import FillWatch
from actors.ledger_writer.unknown_outcomes import UnknownOutcomes
from actors.ledger_writer.waiting_results import WaitingResults
from actors.stream_consumer import Attempts, EntryTimes
from actors.waiting import REDIS_TROUBLE, RedisTrouble, lease_fence, present
from brain.ledger.booking import NeedsAdoption
from brain.ledger.result import (
    DeadResult,
    ExecutedResult,
    RefusedResult,
    names_wrong_precision,
    outcome_is_unknown,
    read_result,
    symbol_of,
)
from channels import (
    Conflating,
    Count,
    DropOldest,
    LatestValue,
    Lease,
    MetricEvent,
    Observe,
    ResultBook,
    RulesWanted,
    SnapshotChanged,
    UnknownExecution,
    WaitingResult,
)
from clocks.clocks import Clocks
from exchange.errors import UnreadablePosition
from store.errors import FencedError, GroupLostError, WrongTypeError
from store.protocol import ResultStore
from store.records import Entry
from supervision import Heartbeat

_BATCH = 256
_BLOCK_MS = 2_000
_MOST_FAILURES = 3
_STRANDED_AFTER_MS = 1_500
_SWEEP_SEC = 1.0
_UPKEEP_SEC = 5.0
_PAUSE_SEC = 0.1


class LedgerWriter:
    """The ledgers' only writer. A result is acknowledged by the script that books it, and by nothing else."""

    def __init__(
        self,
        store: ResultStore,
        changes: Conflating[SnapshotChanged],
        *,
        adoption: LedgerAdoption,
        fill_watch: FillWatch,
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
        """`attempts` outlives this actor. `mark_ttl_sec`: how long a plan stays settled after a result that
        came before its decision. `reservation_life_sec`: from a decision to the end of its open permit."""
        self._store = store
        self._changes = changes
        self._adoption = adoption
        self._fill_watch = fill_watch
        self._attempts = attempts
        #: Entries that one of the strands is at work on: an answer that tarried can give one to both.
        self._in_hand: set[str] = set()
        self._results = results
        self._rules_wanted = rules_wanted
        self._hedge_mode = hedge_mode
        self._lease = lease
        self._ledgers_adopted = ledgers_adopted
        self._metrics = metrics
        self._clocks = clocks
        self._times = EntryTimes(clocks, store, "apply.result")
        self._mark_ttl_ms = round(mark_ttl_sec * 1000)
        self._contained = ContainedFills(store, fill_watch, clocks, hedge_mode=lambda: bool(hedge_mode.value))
        self._together = JointBooking(
            store,
            attempts,
            self._contained,
            hedge_mode=lambda: bool(hedge_mode.value),
            now_sec=self._now_sec,
            mark_ttl_ms=self._mark_ttl_ms,
        )
        self._unknown = UnknownOutcomes(
            store,
            fill_watch.memory,
            self._contained,
            key_prefix=key_prefix,
            shown=unknown_executions,
            results=results,
            hedge_mode=lambda: bool(hedge_mode.value),
            reservation_life_sec=reservation_life_sec,
            mark_ttl_ms=self._mark_ttl_ms,
            report=self._report,
            clocks=clocks,
            log=log,
        )
        self._waiting = WaitingResults(waiting_results, log)
        fill_watch.on_events = self._unknown.event
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
            nursery.start_soon(self._fill_watch.listen, heartbeat)
            await self._recover(fence, heartbeat, idle_ms=0)
            await self._adoption.adopt_all(fence, heartbeat)
            self._ledgers_adopted.send(True)
            nursery.start_soon(self._sweep, fence, heartbeat)
            nursery.start_soon(self._follow_changes, fence, heartbeat)
            nursery.start_soon(self._adoption.serve, fence, heartbeat)
            nursery.start_soon(self._fill_watch.report_unexplained, fence, heartbeat)
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
                    await self._settle_all(mine, fence, heartbeat)
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
                await self._settle_all(mine, fence, heartbeat)

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

    async def _settle_all(self, entries: list[Entry], fence: str, heartbeat: Heartbeat) -> None:
        """Book what goes together, and each of the others alone, in the order in which they came."""
        while entries:
            joint = await self._together.book(entries, fence)
            for booked in joint.booked:
                if isinstance(booked.result, RefusedResult):
                    self._released(booked.entry, booked.result)
                elif booked.plan is not None:
                    self._report(booked.entry, booked.plan, booked.result, booked.booked_ms)
            heartbeat.beat()
            if joint.alone is not None:
                await self._settle(joint.alone, fence, heartbeat)
                heartbeat.beat()
            entries = joint.rest

    async def _settle(self, entry: Entry, fence: str, heartbeat: Heartbeat) -> None:
        """Book one entry, or set it aside where that has failed too often."""
        failures = self._attempts.begin(entry.id)
        if entry.fields is None:
            await self._bury(entry, "trimmed while it was pending", fence)
        elif failures >= _MOST_FAILURES:
            await self._bury(entry, f"booking it has failed {failures} times", fence)
        else:
            await self._settle_result(entry, read_result(entry.fields), fence, heartbeat)
        self._attempts.done(entry.id)

    async def _settle_result(
        self,
        entry: Entry,
        result: ExecutedResult | RefusedResult | DeadResult,
        fence: str,
        heartbeat: Heartbeat,
    ) -> None:
        try:
            match result:
                case ExecutedResult():
                    await self._book_result(entry, result, fence, heartbeat)
                case RefusedResult():
                    await self._release(entry, result, fence)
                case DeadResult(error):
                    await self._bury(entry, error, fence)
        except WrongTypeError as refusal:
            # Whoever mends the key finds the result among the dead letters. Any other refusal is tried again.
            await self._bury(entry, str(refusal), fence)

    async def _release(self, entry: Entry, result: RefusedResult, fence: str) -> None:
        while True:
            state = await self._store.booking_state(result.symbol or "", result.plan_id, ())
            release = plan_release(entry, result, state, mark_ttl_ms=self._mark_ttl_ms)
            if await self._store.commit_result(fence, release) is not None:
                self._released(entry, result)
                return

    async def _book_result(
        self, entry: Entry, result: ExecutedResult, fence: str, heartbeat: Heartbeat
    ) -> None:
        order_ids = tuple(dict.fromkeys(order.order_id for order in result.orders))
        contains_it = False
        while True:
            state = await self._store.booking_state(result.symbol, result.plan_id, order_ids)
            contained: Mapping[str, Decimal] = {order.order_id: order.cumulative for order in result.orders}
            if not contains_it:
                with self._attempts.waiting(entry.id):
                    contained = await self._contained.find(entry, result, state, heartbeat)
            planned = plan_booking(
                entry,
                result,
                state,
                hedge_mode=bool(self._hedge_mode.value),
                contained=contained,
                now_sec=self._now_sec(),
                mark_ttl_ms=self._mark_ttl_ms,
                exchange=self._adoption.fresh_legs(result.symbol),
            )
            match planned:
                case NeedsAdoption():
                    try:
                        with self._attempts.waiting(entry.id):
                            contains_it = await self._adoption.adopt_for(result.symbol, fence, heartbeat)
                    except UnreadablePosition as error:
                        await self._bury(entry, f"no ledger could be adopted: {error}", fence)
                        return
                case Unbookable(why, unjoined):
                    await self._bury(entry, why, fence, unjoined=unjoined)
                    return
                case Waiting(why):
                    self._waiting.wait(WaitingResult(entry.id, result.symbol, result.plan_id, why))
                    return
                case BookingPlan(commit):
                    booked_ms = await self._store.commit_result(fence, commit)
                    if booked_ms is not None:
                        self._report(entry, planned, result, booked_ms)
                        return

    def _now_sec(self) -> Decimal:
        """Redis's clock: cooldowns compare the ledger's order time with that."""
        return Decimal(self._clocks.redis_now_ms()).scaleb(-3)

    def _released(self, entry: Entry, result: RefusedResult) -> None:
        """The refusal is written."""
        fields = entry.fields or {}
        if not result.had_no_permit and result.unknown is None:
            self._results.end(result.plan_id)
        self._results.settle(symbol_of(fields) or "", entry.id)
        if names_wrong_precision(fields):
            self._rules_wanted.send(RulesWanted("an order was refused for its precision"))
        if outcome_is_unknown(fields):
            self._unknown.reported()

    def _report(self, entry: Entry, planned: BookingPlan, result: ExecutedResult, booked_ms: int) -> None:
        """The result was booked at `booked_ms` (Redis's clock)."""
        self._waiting.done(entry.id)
        commit, lag_sec = planned.commit, None
        if entry.published_ms is not None:
            lag_sec = max(booked_ms - entry.published_ms, 0) / 1000
            self._metrics.send(Observe("p33_ledger_lag_seconds", lag_sec))
        grown = {order.order_id for order in commit.orders}
        if commit.permit_after == "" or any(order.final for order in result.orders):
            self._results.end(result.plan_id)
        self._results.settle(
            result.symbol,
            entry.id,
            [(order.order_id, order.cumulative) for order in result.orders if order.order_id in grown],
        )
        for order in result.orders:
            self._fill_watch.booked(result.symbol, order.order_id, order.cumulative)
        if not commit.ledger_fields:
            return
        fields = dict(zip(commit.ledger_fields[::2], commit.ledger_fields[1::2], strict=True))
        self._adoption.booked(result.symbol, fields["last_known_amt"])
        self._metrics.send(Count("p33_ledger_update_total", (self._adoption.label(result.symbol),)))
        for order_id in planned.order_ids:
            lag = "unknown" if lag_sec is None else f"{lag_sec:.3f}s"
            self._log.info(f"{result.symbol}: Ledger updated from order {order_id}, lag={lag}")

    async def _bury(self, entry: Entry, error: str, fence: str, *, unjoined: bool = False) -> None:
        burial = plan_burial(entry, error, mark_ttl_ms=self._mark_ttl_ms, unjoined=unjoined)
        await self._store.commit_result(fence, burial)
        self._waiting.done(entry.id)
        self._metrics.send(Count("p33_dead_letters_total", ("apply.result",)))
        self._log.warning("Result entry set aside", entry_id=entry.id, error=error)
