"""Books every executed result once, and keeps a ledger for every symbol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import trio
from structlog.typing import FilteringBoundLogger

from actors.heartbeat import Heartbeat
from actors.lease import lease_fence, present
from actors.result_booking import (
    LEDGER_TTL_MS,
    BookingPlan,
    Unbookable,
    plan_booking,
    plan_burial,
    plan_release,
)
from brain.booking import NeedsAdoption, adopt
from brain.numbers import NotANumberError, parse_decimal, plain
from brain.position import LegPosition
from brain.result import DeadResult, ExecutedResult, RefusedResult, read_result
from channels import (
    Conflating,
    Count,
    DropOldest,
    LatestValue,
    Lease,
    MetricEvent,
    Observe,
    SetGauge,
    SnapshotBook,
    SnapshotChanged,
)
from clock import Clock
from exchange.errors import AskLater, ExchangeError
from exchange.shared_read import SharedRead
from store.errors import FencedError, GroupLostError, StoreRefusedError, StoreUnavailableError
from store.protocol import ResultStore
from store.records import Adoption, BookingState, Entry, ResultCommit

_BATCH = 256
_BLOCK_MS = 2_000
_MOST_DELIVERIES = 3
_STRANDED_AFTER_MS = 1_500
_SWEEP_SEC = 1.0
_RENEWAL_SEC = 30.0
_PAUSE_SEC = 0.1
_EXCHANGE_PAUSE_SEC = 0.5


class LedgerWriter:
    """The ledgers' only writer. A result is acknowledged by the script that books it, and by nothing else."""

    def __init__(
        self,
        store: ResultStore,
        book: SnapshotBook,
        positions: SharedRead,
        changes: Conflating[SnapshotChanged],
        *,
        hedge_mode: LatestValue[bool],
        lease: LatestValue[Lease],
        ledgers_adopted: LatestValue[bool],
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        mark_ttl_sec: float,
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`mark_ttl_sec`: how long a plan stays settled after a result that came before its decision."""
        self._store = store
        self._book = book
        self._positions = positions
        self._changes = changes
        self._hedge_mode = hedge_mode
        self._lease = lease
        self._ledgers_adopted = ledgers_adopted
        self._metrics = metrics
        self._clock = clock
        self._mark_ttl_ms = round(mark_ttl_sec * 1000)
        self._redis = f"Redis at {redis_address}"
        self._log = log
        self._amounts: dict[str, str] = {}
        self._reading = trio.CancelScope()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Book results until asked to stop; what is in hand then is finished."""
        group_lost = False
        while not heartbeat.stopping.is_set():
            fence = await lease_fence(self._lease, heartbeat)
            await present(self._hedge_mode, "the account's position mode", heartbeat)
            try:
                await self._store.create_result_group(lost=group_lost)
                await self._recover(fence, heartbeat, idle_ms=0)
                await self._adopt_all(fence, heartbeat)
                self._ledgers_adopted.send(True)
                await self._work(fence, heartbeat)
            except* FencedError:
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_PAUSE_SEC)
            except* GroupLostError:
                self._log.warning("Consumer group lost", stream="apply.result")
                group_lost = True
            except* StoreUnavailableError:
                with heartbeat.waiting_for(self._redis):
                    await trio.sleep(_PAUSE_SEC)

    async def _work(self, fence: str, heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sweep, fence, heartbeat)
            nursery.start_soon(self._follow_changes, fence, heartbeat)
            nursery.start_soon(self._watch_for_stop, heartbeat)
            while not heartbeat.stopping.is_set():
                entries: list[Entry] = []
                with heartbeat.idle(), trio.CancelScope() as self._reading:
                    entries = await self._store.new_results(count=_BATCH, block_ms=_BLOCK_MS)
                for entry in entries:
                    await self._settle(entry, fence, heartbeat)
                    heartbeat.beat()
            nursery.cancel_scope.cancel()

    async def _watch_for_stop(self, heartbeat: Heartbeat) -> None:
        await heartbeat.stopping.wait()
        self._reading.cancel()

    async def _sweep(self, fence: str, heartbeat: Heartbeat) -> None:
        """Find results that a dead reader swallowed; renew ledgers and give one to whoever lost it."""
        renew_at_sec = 0.0
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    await trio.sleep(_SWEEP_SEC)
                await self._recover(fence, strand, idle_ms=_STRANDED_AFTER_MS)
                if trio.current_time() >= renew_at_sec:
                    await self._renew(fence)
                    renew_at_sec = trio.current_time() + _RENEWAL_SEC

    async def _follow_changes(self, fence: str, heartbeat: Heartbeat) -> None:
        """Give a ledger to symbols that come up after the start."""
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    changes = await self._changes.receive_all()
                symbols = [change.snapshot.symbol for change in changes]
                await self._adopt([s for s in symbols if s not in self._amounts], fence)

    async def _recover(self, fence: str, heartbeat: Heartbeat, *, idle_ms: int) -> None:
        """Book what was delivered before and not acknowledged, oldest first."""
        while entry := await self._store.recover_result(fence=fence, after="0", idle_ms=idle_ms):
            await self._settle(entry, fence, heartbeat)
            heartbeat.beat()

    async def _settle(self, entry: Entry, fence: str, heartbeat: Heartbeat) -> None:
        """Book one entry, release what it refuses, or set it aside."""
        if entry.fields is None:
            await self._bury(entry, "trimmed while it was pending", fence)
            return
        if entry.deliveries > _MOST_DELIVERIES:
            await self._bury(entry, f"not booked after {entry.deliveries - 1} deliveries", fence)
            return
        result = read_result(entry.fields)
        match result:
            case ExecutedResult():
                await self._book_result(entry, result, fence, heartbeat)
            case RefusedResult():
                while True:
                    state = await self._store.booking_state(result.symbol or "", result.plan_id, ())
                    release = plan_release(entry, result, state, mark_ttl_ms=self._mark_ttl_ms)
                    if await self._store.commit_result(fence, release) is not None:
                        return
            case DeadResult(error):
                await self._bury(entry, error, fence)

    async def _book_result(
        self, entry: Entry, result: ExecutedResult, fence: str, heartbeat: Heartbeat
    ) -> None:
        order_ids = tuple(dict.fromkeys(order.order_id for order in result.orders))
        contained = False
        while True:
            try:
                state = await self._store.booking_state(result.symbol, result.plan_id, order_ids)
            except StoreRefusedError as error:
                await self._bury(entry, str(error), fence)
                return
            planned = self._plan(entry, result, state, contained=contained)
            match planned:
                case NeedsAdoption():
                    contained = await self._adopt_for(result.symbol, fence, heartbeat)
                case Unbookable(why):
                    await self._bury(entry, why, fence)
                    return
                case BookingPlan(commit):
                    booked_ms = await self._store.commit_result(fence, commit)
                    if booked_ms is not None:
                        self._report(planned, result, commit, (booked_ms - entry.published_ms) / 1000)
                        return

    def _plan(
        self, entry: Entry, result: ExecutedResult, state: BookingState, *, contained: bool
    ) -> BookingPlan | NeedsAdoption | Unbookable:
        return plan_booking(
            entry,
            result,
            state,
            hedge_mode=bool(self._hedge_mode.value),
            contained=contained,
            now_sec=self._now_sec(),
            mark_ttl_ms=self._mark_ttl_ms,
        )

    def _now_sec(self) -> Decimal:
        return Decimal(self._clock.now().wall_ms).scaleb(-3)

    def _report(
        self, planned: BookingPlan, result: ExecutedResult, commit: ResultCommit, lag_sec: float
    ) -> None:
        lag_sec = max(lag_sec, 0.0)
        self._metrics.send(Observe("p33_ledger_lag_seconds", lag_sec))
        if not commit.ledger_fields:
            return
        fields = dict(zip(commit.ledger_fields[::2], commit.ledger_fields[1::2], strict=True))
        self._amounts[result.symbol] = fields["last_known_amt"]
        label = result.symbol if self._book.get(result.symbol) is not None else "other"
        self._metrics.send(Count("p33_ledger_update_total", (label,)))
        self._gauge(result.symbol, fields["last_known_amt"])
        for order_id in planned.order_ids:
            self._log.info(f"{result.symbol}: Ledger updated from order {order_id}, lag={lag_sec:.3f}s")

    def _gauge(self, symbol: str, amount: str) -> None:
        if self._book.get(symbol) is not None:
            self._metrics.send(SetGauge("p33_ledger_amt", float(amount), (symbol,)))

    async def _bury(self, entry: Entry, error: str, fence: str) -> None:
        await self._store.commit_result(fence, plan_burial(entry, error))
        self._metrics.send(Count("p33_dead_letters_total", ("apply.result",)))
        self._log.warning("Result entry set aside", entry_id=entry.id, error=error)

    async def _adopt_all(self, fence: str, heartbeat: Heartbeat) -> None:
        """At the start: a ledger for every symbol of the account that has none."""
        rows = await self._read_positions(heartbeat)
        for symbol in rows:
            while self._book.get(symbol) is None:
                with heartbeat.waiting_for(f"the first snapshot of {symbol}"):
                    await self._book.changed()
        await self._adopt(rows, fence)

    async def _read_positions(self, heartbeat: Heartbeat) -> Mapping[str, tuple[LegPosition, ...]]:
        """All positions by symbol, by a read that is sent from now on."""
        now = self._clock.now()
        while True:
            try:
                with heartbeat.waiting_for("the exchange's positions"):
                    read = await self._positions.read(now)
            except AskLater as error:
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep_until(error.until.monotonic_sec)
            except ExchangeError as error:
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep(_EXCHANGE_PAUSE_SEC)
            else:
                legs: dict[str, tuple[LegPosition, ...]] = {}
                for row in read.rows:
                    legs[row.symbol] = (*legs.get(row.symbol, ()), row.position)
                return legs

    async def _adopt(self, symbols: Iterable[str], fence: str) -> None:
        """Take over the positions in the book for those of `symbols` that have no ledger yet."""
        snapshots = {symbol: self._book.get(symbol) for symbol in symbols}
        await self._create(
            {symbol: snapshot.legs for symbol, snapshot in snapshots.items() if snapshot is not None}, fence
        )

    async def _adopt_for(self, symbol: str, fence: str, heartbeat: Heartbeat) -> bool:
        """Create the ledger that a result misses, from a read that is sent after the result came.

        True: the exchange's amount was adopted, and what the result reports is in it. A symbol that the
        exchange does not show begins flat, and the result moves it.
        """
        legs = (await self._read_positions(heartbeat)).get(symbol, ())
        await self._create({symbol: legs}, fence)
        return bool(legs)

    async def _create(self, legs: Mapping[str, tuple[LegPosition, ...]], fence: str) -> None:
        """Create the ledgers that are missing; one with a position is an event."""
        stored = await self._store.ledger_amounts(list(legs))
        missing = [symbol for symbol in legs if symbol not in stored]
        adoptions: list[Adoption] = []
        for symbol in missing:
            fields = adopt(legs[symbol], now_sec=self._now_sec())
            event: tuple[str, ...] = ()
            if any(row.amount for row in legs[symbol]):
                event = (
                    "event", "LEDGER_ADOPTED",
                    "symbol", symbol,
                    "ledger_amt", fields["last_known_amt"],
                    "timestamp", fields["last_update_ts"],
                )  # fmt: skip
            stored[symbol] = fields["last_known_amt"]
            adoptions.append(Adoption(symbol, tuple(t for pair in fields.items() for t in pair), event))
        if adoptions:
            for symbol in await self._store.adopt_ledgers(fence, adoptions, LEDGER_TTL_MS):
                if any(row.amount for row in legs[symbol]):
                    self._log.info(f"{symbol}: Ledger adopted from the exchange", amount=stored[symbol])
        self._note(stored)

    async def _renew(self, fence: str) -> None:
        """Let ledgers live while position or ledger are not flat; make up for lost and corrected ones."""
        symbols = self._book.symbols()
        stored = await self._store.ledger_amounts(symbols)
        await self._adopt([symbol for symbol in symbols if symbol not in stored], fence)
        corrected = [symbol for symbol, amount in stored.items() if self._amounts.get(symbol) != amount]
        held = [symbol for symbol in symbols if stored.get(symbol, "0") != "0" or self._holds(symbol)]
        if renewed := list(dict.fromkeys((*corrected, *held))):
            await self._store.renew_ledgers(fence, renewed, LEDGER_TTL_MS)
        self._note(stored)

    def _holds(self, symbol: str) -> bool:
        snapshot = self._book.get(symbol)
        return snapshot is not None and any(row.amount for row in snapshot.legs)

    def _note(self, stored: Mapping[str, str]) -> None:
        for symbol, text in stored.items():
            if self._amounts.get(symbol) == text:
                continue
            self._amounts[symbol] = text
            try:
                self._gauge(symbol, plain(parse_decimal(text)))
            except NotANumberError:
                self._log.warning(f"{symbol}: the ledger cannot be read", stored=text[:40])
