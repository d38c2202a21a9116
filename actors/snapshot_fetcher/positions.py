"""Positions of one shard: events and reads are merged, and the snapshots that follow are published.

`brain.positions.merging` decides which row is newer, `_publish` and `_apply_proof` if the stream covers it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.discrepancies import PendingDiscrepancies
from actors.snapshot_fetcher.publishing import PublishedSnapshots
from actors.snapshot_fetcher.read_schedule import Cadence, Gap, ReadSchedule
from actors.snapshot_fetcher.uncovered import UncoveredSymbols
from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.merging import apply_push, apply_rest, not_shown
from brain.positions.position import Snapshot, VerifiedBy
from brain.positions.symbol_state import Discrepancy, StreamProof, SymbolState, to_snapshot
from channels import (
    Conflating,
    Count,
    DropOldest,
    FillObserved,
    LeverageObserved,
    MarksChanged,
    MetricEvent,
    PositionObserved,
    SetGauge,
    ShardMessage,
    SnapshotBook,
    SnapshotChanged,
    StreamConnected,
    StreamLost,
    StreamProven,
)
from clock import Clock
from clocks.clock_offset import ClockOffset
from exchange.protocol import PositionRow, PositionsRead


class ShardPositions:
    """Positions of the symbols for which `is_mine` holds. One owner; the only one to publish them."""

    def __init__(
        self,
        shard: int,
        is_mine: Callable[[str], bool],
        *,
        cadence: Cadence,
        clock_offset: ClockOffset,
        push_delay_sec: Callable[[], float],
        book: SnapshotBook,
        changes: Conflating[SnapshotChanged],
        writer: SnapshotWriter,
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """`clock_offset` is shared with the other shards. `push_delay_sec` returns the allowance for the
        exchange's push delay at present."""
        self.is_mine = is_mine
        self.schedule = ReadSchedule(cadence, book, clock)
        self._shard = shard
        self._book = book
        self._published = PublishedSnapshots(shard, book, changes, writer)
        self._uncovered = UncoveredSymbols(book, clock, log)
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._states: dict[str, SymbolState] = {}
        self._leverages: dict[str, LeverageObserved] = {}
        self._clock_offset = clock_offset
        self._epoch = 0
        self._proof: StreamProof | None = None
        self._discrepancies = PendingDiscrepancies(
            self.state_of, self._distrust_stream, push_delay_sec, clock
        )

    def is_known(self, symbol: str) -> bool:
        """Return True if the symbol was ever pushed or read."""
        return symbol in self._states

    def is_unreadable(self, symbol: str) -> bool:
        """Return True if the exchange's latest answer about the symbol could not be read."""
        return symbol in self._book.unreadable

    def state_of(self, symbol: str) -> SymbolState:
        """Return the known state of the symbol's position; an empty one where nothing is known."""
        return self._states.get(symbol) or SymbolState(symbol)

    def take_in(self, messages: Sequence[ShardMessage]) -> None:
        """Apply messages of the streams, in their order, and publish the snapshots that they change."""
        if not any(isinstance(message, StreamLost) for message in messages):
            self._follow_lost_trust()
        touched: dict[str, None] = {}
        for message in messages:
            match message:
                case PositionObserved():
                    self._apply_push(message)
                    if message.out_of_order is not None:
                        self._apply_push(message.out_of_order)
                    touched[message.symbol] = None
                case FillObserved():
                    self._expect_update_for(message)
                case MarksChanged():
                    self._writer.marks_changed()
                case LeverageObserved():
                    self._apply_leverage(message)
                    touched[message.symbol] = None
                case _:
                    self._follow_stream(message)
        if self._publish(touched, pushed=True):
            self.schedule.recheck()
        self._uncovered.log_changes()

    def apply_read(self, read: PositionsRead, verified_by: VerifiedBy = VerifiedBy.REST) -> None:
        """Merge a read of all symbols, or of one, and publish."""
        self._follow_lost_trust()
        rows: dict[str, list[PositionRow]] = {}
        for row in read.rows:
            if self.is_mine(row.symbol):
                rows.setdefault(row.symbol, []).append(row)
        trusted_since = self.schedule.session_since if self.schedule.stream_proven else None
        ahead_ms = self._clock_offset.at_least_ms(read.received)
        latest_ms = self._clock_offset.latest_date_ms(read.received)
        for symbol, symbol_rows in rows.items():
            self._states[symbol], discrepancies = apply_rest(
                self.state_of(symbol),
                [row.position for row in symbol_rows],
                leverage=symbol_rows[0].leverage,
                mark_price=symbol_rows[0].mark_price,
                sent=read.sent,
                received=read.received,
                verified_by=verified_by,
                stream_since=trusted_since,
                exchange_ahead_ms=ahead_ms,
                not_after_ms=latest_ms,
            )
            self._book.set_unreadable(symbol, None)
            self._discrepancies.add_all(discrepancies)
            leverage = self._leverages.get(symbol)
            if leverage is not None and leverage.received >= read.sent:
                self._apply_leverage(leverage)
            self.schedule.shown(symbol, read.sent)
        unpublished = self._publish(rows)
        if unpublished:
            for symbol in unpublished:
                if self._states[symbol].disputed_at is None:
                    self.schedule.ambiguous_reads.add(symbol, read.sent)
            self.schedule.recheck()
        self._uncovered.log_changes()

    def apply_absence(self, shown: Container[str], read: PositionsRead, asked: str | None = None) -> None:
        """Merge the absence of known symbols, or of the one that was `asked` for, that are not in `shown`.

        Their rows were missing or unreadable: they are disputed until a read shows them (rule 8).
        """
        unnamed = read.unreadable.get("")
        known_or_named = dict.fromkeys((*self._states, *read.unreadable, *self._book.unreadable))
        for symbol in known_or_named if asked is None else (asked,):
            if not symbol or symbol in shown or not self.is_mine(symbol):
                continue
            self._book.set_unreadable(symbol, read.unreadable.get(symbol, unnamed))
            known = self._states.get(symbol)
            if known is not None:
                self._states[symbol] = not_shown(known, read.sent)
                if self._states[symbol].disputed_at is not None:
                    self._published.dispute(symbol)
                    self._uncovered.set(symbol, Gap.MISSING)

    async def judge_discrepancies(self) -> None:
        """End trust in a stream that leaves a read unexplained (rule 15). Until cancelled."""
        await self._discrepancies.judge()

    def _apply_push(self, push: PositionObserved) -> None:
        symbol, position, received = push.symbol, push.position, push.received
        latest_ms = self._clock_offset.latest_date_ms(received)
        possible = latest_ms is None or position.update_time_ms <= latest_ms
        if possible:
            self._clock_offset.observe(position.update_time_ms, received)
        self._states[symbol] = apply_push(
            self.state_of(symbol),
            position,
            received,
            stream_since=self.schedule.session_since,
            exchange_ahead_ms=self._clock_offset.at_least_ms(received),
            not_after_ms=latest_ms,
        )
        if possible:
            self.schedule.unmatched_fills.updated(symbol, position.leg, position.update_time_ms)

    def _apply_leverage(self, change: LeverageObserved) -> None:
        """Apply a change of leverage, which a read that was sent before it does not undo."""
        self._leverages[change.symbol] = change
        state = self.state_of(change.symbol)
        self._states[change.symbol] = msgspec.structs.replace(state, leverage=change.leverage)

    def _expect_update_for(self, fill: FillObserved) -> None:
        state = self._states.get(fill.symbol)
        known = None if state is None else state.leg(fill.leg)
        if known is None or known.row.update_time_ms < fill.transaction_ms:
            self.schedule.unmatched_fills.add(fill)
            self.schedule.recheck()

    def _follow_stream(self, message: StreamConnected | StreamProven | StreamLost) -> None:
        match message:
            case StreamConnected(epoch, since):
                self._epoch = epoch
                self.schedule.begin_session(since)
            case StreamProven(epoch, as_of):
                if self.schedule.session_since is None or epoch != self._epoch:
                    # A restarted fetcher missed the connection: to it, the session begins now.
                    self._epoch = epoch
                    self.schedule.begin_session(self._clock.now())
                self._apply_proof(as_of)
            case StreamLost(epoch):
                if epoch >= self._epoch:
                    self._keep_proof()
                    self._discrepancies.drop()
                    self.schedule.end_session()

    def _apply_proof(self, as_of: Moment) -> None:
        """Extend the snapshots that the stream covers to `as_of` (rule 14)."""
        schedule, lost_at = self.schedule, self._book.trust_lost_at
        since = schedule.session_since
        if since is None or as_of < since or (lost_at is not None and since < lost_at):
            return
        proven: list[str] = []
        oldest = schedule.oldest_audit()
        for symbol, synced_at in self._published.covered():
            if synced_at < since:
                continue
            gap = schedule.gap(symbol, oldest)
            if gap is None:
                proven.append(symbol)
            else:
                self._published.stop_covering(symbol)
                self._uncovered.set(symbol, gap)
        ambiguous = [s for s in schedule.ambiguous_reads.symbols() if schedule.read_since(s, since)]
        if proven or ambiguous:
            if not schedule.stream_proven:
                self._metrics.send(SetGauge("p33_stream_trusted", 1))
            schedule.stream_proven = True
            self._proof = StreamProof(since, as_of)
            self._book.prove(self._shard, self._proof)
            self._writer.proven(proven)
            self._publish(ambiguous)

    def _keep_proof(self) -> None:
        """Publish snapshots as of the latest proof: without the stream they would go back in time."""
        for symbol, synced_at in self._published.covered():
            snapshot = to_snapshot(self._states[symbol], self._proof_of(symbol))
            if snapshot is not None:
                self._published.put(snapshot, synced_at)

    def _follow_lost_trust(self) -> None:
        """Begin a session if another shard ended trust in the stream: here, too, a read must come first."""
        lost_at, since = self._book.trust_lost_at, self.schedule.session_since
        if lost_at is not None and since is not None and lost_at > since:
            self._keep_proof()
            self.schedule.begin_session(lost_at)

    def _proof_of(self, symbol: str) -> StreamProof | None:
        """Return the proof if the symbol was read in its session; a push may show one leg of two."""
        proof = self._proof
        return proof if proof is not None and self.schedule.read_since(symbol, proof.since) else None

    def _publish(self, symbols: Iterable[str], *, pushed: bool = False) -> list[str]:
        """Publish the snapshots of `symbols`; return the symbols without one (rules 11, 12 and 16)."""
        unpublished: list[str] = []
        oldest = self.schedule.oldest_audit()
        for symbol in symbols:
            state = self._states[symbol]
            gap = self.schedule.gap(symbol, oldest)
            snapshot = to_snapshot(state, self._proof_of(symbol) if gap is None else None)
            if snapshot is None or self.schedule.lacks_a_read(symbol, snapshot.verified_at):
                if state.disputed_at is not None:
                    self._published.dispute(symbol)
                    self.schedule.ambiguous_reads.dispute(symbol, state.disputed_at)
                    self.schedule.recheck()
                # The published snapshot is outdated: no proof may extend it.
                self._published.stop_covering(symbol)
                self._uncovered.set(symbol, _why_unpublished(state, snapshot))
                self.schedule.unpublished.add(symbol)
                unpublished.append(symbol)
                continue
            self.schedule.published(symbol)
            self._uncovered.set(symbol, gap)
            covered = gap is None and self.schedule.read_in_session(symbol)
            self._published.publish(snapshot, state.synced_at if covered else None, pushed=pushed)
        return unpublished

    def _distrust_stream(self, discrepancy: Discrepancy) -> None:
        now = self._clock.now()
        self._log.warning(
            f"{discrepancy.symbol}: stream diverged from the exchange",
            held=plain(discrepancy.held.amount),
            read=plain(discrepancy.read.amount),
            leg=discrepancy.read.leg,
        )
        self._metrics.send(Count("p33_stream_divergence_total"))
        self._metrics.send(SetGauge("p33_stream_trusted", 0))
        self._keep_proof()
        self._book.lose_trust(now)
        self.schedule.begin_session(now)


def _why_unpublished(state: SymbolState, snapshot: Snapshot | None) -> Gap:
    if state.not_shown_at is not None:
        return Gap.MISSING
    if state.disputed_at is not None:
        return Gap.DISPUTED
    if not state.read:
        return Gap.NEVER_READ
    return Gap.AMBIGUOUS if snapshot is None else Gap.TRUST_LOST
