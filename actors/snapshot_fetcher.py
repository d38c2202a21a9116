"""Keeps the snapshots of one shard's symbols: from the stream while it is proven, from REST otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.exchange_lead import ExchangeLead
from actors.heartbeat import Heartbeat
from actors.snapshot_writer import SnapshotWriter
from brain.merging import (
    Disagreement,
    StreamProof,
    SymbolState,
    apply_push,
    apply_rest,
    explained,
    to_snapshot,
)
from brain.moment import Moment
from brain.numbers import plain
from brain.position import VerifiedBy
from channels import (
    BookEntry,
    Conflating,
    Count,
    DropOldest,
    FillObserved,
    MetricEvent,
    OnDemandRead,
    PositionObserved,
    PushBack,
    ShardMessage,
    SnapshotBook,
    SnapshotChanged,
    StreamConnected,
    StreamLost,
    StreamProven,
)
from clock import Clock
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import Exchange, PositionRow, PositionsRead, Priority
from exchange.shared_read import SharedRead

_FILL_WITHOUT_UPDATE_SEC = 1.0
_EVENT_IN_FLIGHT_SEC = 1.0
_RETRY_SEC = 0.5


class Cadence(msgspec.Struct, frozen=True):
    """How often positions are read in bulk (seconds): without a trusted stream, and to audit it.

    `audit_max_age_sec`: how long the stream alone is believed when no read gets through.
    """

    poll_sec: float
    audit_sec: float
    audit_max_age_sec: float


class SnapshotFetcher:
    """Owns the positions of the symbols for which `is_mine` holds, and is the only one to publish them.

    A stream that lives tells changes, and its proofs say that silence meant no change; a REST read gives
    each connection period its base. Older news never overwrites newer (`brain.merging`).
    """

    def __init__(
        self,
        shard: int,
        is_mine: Callable[[str], bool],
        *,
        inbox: Conflating[ShardMessage],
        on_demand: PushBack[OnDemandRead],
        positions: SharedRead,
        exchange: Exchange,
        book: SnapshotBook,
        changes: Conflating[SnapshotChanged],
        writer: SnapshotWriter,
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        cadence: Cadence,
        log: FilteringBoundLogger,
    ) -> None:
        self._shard = shard
        self._is_mine = is_mine
        self._inbox = inbox
        self._on_demand = on_demand
        self._positions = positions
        self._exchange = exchange
        self._book = book
        self._changes = changes
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._cadence = cadence
        self._log = log
        self._states: dict[str, SymbolState] = {}
        self._lead = ExchangeLead()
        self._epoch = 0
        self._stream_since: Moment | None = None
        self._stream_proven = False
        self._last_read: Moment | None = None
        self._read_wanted_after: Moment | None = None
        self._unmatched_fills: dict[str, FillObserved] = {}
        self._disagreements: list[Disagreement] = []
        self._hurry = trio.lowlevel.ParkingLot()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep the shard's snapshots until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._observe, heartbeat)
            nursery.start_soon(self._refresh, heartbeat)
            nursery.start_soon(self._serve_on_demand)
            nursery.start_soon(self._write, heartbeat)

    async def _write(self, heartbeat: Heartbeat) -> None:
        with heartbeat.strand() as strand:
            await self._writer.run(strand)

    async def _observe(self, heartbeat: Heartbeat) -> None:
        """Take in what the stream tells."""
        while True:
            with heartbeat.idle():
                messages = await self._inbox.receive_all()
            touched: dict[str, None] = {}
            for message in messages:
                self._take_in(message, touched)
            self._publish(touched)

    def _take_in(self, message: ShardMessage, touched: dict[str, None]) -> None:
        match message:
            case PositionObserved(symbol, position, received):
                self._lead.observe(position.update_time_ms, received)
                state = self._states.get(symbol, SymbolState(symbol))
                self._states[symbol] = apply_push(
                    state,
                    position,
                    received,
                    stream_since=self._stream_since,
                    exchange_ahead_ms=self._exchange_ahead_ms(received),
                )
                fill = self._unmatched_fills.get(symbol)
                if fill is not None and fill.transaction_ms <= position.update_time_ms:
                    del self._unmatched_fills[symbol]
                touched[symbol] = None
            case FillObserved():
                self._expect_update_for(message)
            case StreamConnected(epoch, since):
                self._epoch, self._stream_since, self._stream_proven = epoch, since, False
                self._want_read_after(since)
            case StreamProven(epoch, as_of):
                if self._stream_since is None or epoch != self._epoch:
                    # A restarted fetcher learns of the connection here, and can vouch for nothing before.
                    self._epoch, self._stream_since = epoch, self._clock.now()
                    self._want_read_after(self._stream_since)
                self._apply_proof(as_of)
            case StreamLost(epoch):
                if epoch >= self._epoch:
                    self._stream_since, self._stream_proven = None, False
                    self._hurry.unpark_all()

    def _expect_update_for(self, fill: FillObserved) -> None:
        state = self._states.get(fill.symbol)
        known = None if state is None else state.leg(fill.leg)
        if known is None or known.row.update_time_ms < fill.transaction_ms:
            self._unmatched_fills.setdefault(fill.symbol, fill)
            self._hurry.unpark_all()

    def _apply_proof(self, as_of: Moment) -> None:
        since, audited = self._stream_since, self._last_read
        if since is None or as_of < since or audited is None:
            return
        if audited.age_sec(self._clock.now()) > self._cadence.audit_max_age_sec:
            return
        self._stream_proven = True
        self._book.prove(self._shard, StreamProof(since, as_of))
        self._writer.proven([s for s, state in self._states.items() if state.grounded_since(since)])

    def _publish(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            state = self._states[symbol]
            snapshot = to_snapshot(state, None)
            if snapshot is None:
                continue
            before = self._book.get(symbol)
            self._book.publish(self._shard, BookEntry(snapshot, state.grounded))
            self._writer.changed(symbol)
            if before is None or before.legs != snapshot.legs:
                self._changes.send(SnapshotChanged(snapshot))

    def _exchange_ahead_ms(self, at: Moment) -> int:
        lead_ms = self._lead.lead_ms(at)
        return self._exchange.exchange_ms(at) - at.wall_ms if lead_ms is None else lead_ms

    def _want_read_after(self, moment: Moment) -> None:
        self._read_wanted_after = moment
        self._hurry.unpark_all()

    async def _refresh(self, heartbeat: Heartbeat) -> None:
        """Read all positions when they are due, sharing each read with the other fetchers."""
        with heartbeat.strand() as strand:
            while True:
                sent_after = await self._until_read_is_due(strand)
                try:
                    with strand.waiting_for("the exchange's positions"):
                        read = await self._positions.read(sent_after)
                except AskLater as error:
                    self._metrics.send(Count("p33_snapshot_total", ("other", "postponed")))
                    with strand.waiting_for(f"the exchange: {error}"):
                        await trio.sleep_until(error.until.monotonic_sec)
                except ExchangeError as error:
                    self._metrics.send(Count("p33_snapshot_total", ("other", "error")))
                    self._log.warning("Positions could not be read", shard=self._shard, error=str(error))
                    with strand.waiting_for(f"the exchange: {error}"):
                        await trio.sleep(_RETRY_SEC)
                else:
                    self._apply_read(read)

    async def _until_read_is_due(self, heartbeat: Heartbeat) -> Moment:
        """Wait; the moment after which the due read must have been sent."""
        while True:
            self._judge_disagreements()
            now = self._clock.now()
            due_sec, sent_after = self._next_read(now)
            if due_sec <= now.monotonic_sec:
                return sent_after
            judgement_sec = min(
                (each.received.monotonic_sec + _EVENT_IN_FLIGHT_SEC for each in self._disagreements),
                default=due_sec,
            )
            with heartbeat.idle(), trio.move_on_at(min(due_sec, judgement_sec)):
                await self._hurry.park()

    def _next_read(self, now: Moment) -> tuple[float, Moment]:
        """When the next bulk read is due (trio's clock), and after which moment it must be sent."""
        if self._last_read is None:
            return now.monotonic_sec, now
        if self._read_wanted_after is not None:
            return now.monotonic_sec, self._read_wanted_after
        interval_sec = self._cadence.audit_sec if self._stream_proven else self._cadence.poll_sec
        # Half an interval behind the last one: every shard asks for this, so that they share one request.
        due = self._last_read.monotonic_sec + interval_sec, self._last_read.earlier_by(-interval_sec / 2)
        for fill in self._unmatched_fills.values():
            due = min(due, (fill.received.monotonic_sec + _FILL_WITHOUT_UPDATE_SEC, fill.received))
        return due

    def _apply_read(self, read: PositionsRead) -> None:
        """Merge a bulk read of all symbols."""
        rows: dict[str, list[PositionRow]] = {}
        for row in read.rows:
            if self._is_mine(row.symbol):
                rows.setdefault(row.symbol, []).append(row)
        trusted_since = self._stream_since if self._stream_proven else None
        for symbol, symbol_rows in rows.items():
            self._merge(symbol, symbol_rows, read, VerifiedBy.REST, trusted_since)
            self._metrics.send(Count("p33_snapshot_total", (symbol, "ok")))
        self._last_read = read.sent
        if self._read_wanted_after is not None and read.sent >= self._read_wanted_after:
            self._read_wanted_after = None
        self._unmatched_fills = {
            symbol: fill for symbol, fill in self._unmatched_fills.items() if fill.received > read.sent
        }
        self._publish(rows)

    def _merge(
        self,
        symbol: str,
        rows: list[PositionRow],
        read: PositionsRead,
        verified_by: VerifiedBy,
        trusted_since: Moment | None,
    ) -> None:
        self._states[symbol], disagreements = apply_rest(
            self._states.get(symbol, SymbolState(symbol)),
            [row.position for row in rows],
            leverage=rows[0].leverage,
            mark_price=rows[0].mark_price,
            sent=read.sent,
            received=read.received,
            verified_by=verified_by,
            stream_since=trusted_since,
            exchange_ahead_ms=self._exchange_ahead_ms(read.received),
        )
        self._disagreements.extend(disagreements)

    def _judge_disagreements(self) -> None:
        """What the stream has not told a second after a read showed it, it has lost."""
        now = self._clock.now()
        waiting: list[Disagreement] = []
        for disagreement in self._disagreements:
            if explained(self._states[disagreement.symbol], disagreement):
                continue
            if now.monotonic_sec < disagreement.received.monotonic_sec + _EVENT_IN_FLIGHT_SEC:
                waiting.append(disagreement)
            else:
                self._distrust_stream(disagreement, now)
        self._disagreements = waiting

    def _distrust_stream(self, disagreement: Disagreement, now: Moment) -> None:
        self._log.warning(
            f"{disagreement.symbol}: stream diverged from the exchange",
            held=plain(disagreement.held.amount),
            read=plain(disagreement.read.amount),
            leg=disagreement.read.leg,
        )
        self._metrics.send(Count("p33_stream_divergence_total"))
        self._book.lose_trust(now)
        self._stream_since, self._stream_proven = now, False
        self._want_read_after(now)

    async def _serve_on_demand(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._read_one, await self._on_demand.receive())

    async def _read_one(self, request: OnDemandRead) -> None:
        """Read one symbol for a decision that waits; what cannot be read is said, not retried."""
        why_not: str | None = None
        with trio.move_on_at(request.deadline_sec) as scope:
            try:
                read = await self._exchange.positions(request.symbol, priority=Priority.ON_DEMAND)
            except ExchangeError as error:
                why_not = str(error)
            else:
                rows = [row for row in read.rows if row.symbol == request.symbol]
                if rows:
                    trusted_since = self._stream_since if self._stream_proven else None
                    self._merge(request.symbol, rows, read, VerifiedBy.ONDEMAND, trusted_since)
                    self._publish([request.symbol])
                else:
                    why_not = "the exchange shows no position for this symbol"
        if scope.cancelled_caught:
            why_not = "no answer in time"
        status = "ok" if why_not is None else "error"
        label = request.symbol if request.symbol in self._states else "other"
        self._metrics.send(Count("p33_snapshot_total", (label, status)))
        with request.reply:
            try:
                request.reply.send_nowait(why_not)
            except trio.BrokenResourceError:
                self._log.debug("Nobody waits for the on-demand read any more", symbol=request.symbol)
