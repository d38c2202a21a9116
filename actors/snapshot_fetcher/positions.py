"""What is known of one shard's positions: merged from events and reads, judged, and published.

`brain.positions.merging` decides what is newer; this keeps what the merging rests on: since when the stream
tells everything, and when which symbol was read last.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.discrepancies import StreamDoubts
from actors.snapshot_fetcher.publishing import PublishedSnapshots
from actors.snapshot_fetcher.read_schedule import LastReads, UndatedReads, UnmatchedFills, just_after
from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.merging import (
    Disagreement,
    StreamProof,
    SymbolState,
    apply_push,
    apply_rest,
    not_shown,
    to_snapshot,
)
from brain.positions.position import Snapshot, VerifiedBy
from channels import (
    Conflating,
    Count,
    DropOldest,
    FillObserved,
    LeverageObserved,
    MarkPrices,
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
from clocks.clock_offset import ExchangeLead
from exchange.protocol import PositionRow, PositionsRead


class ShardPositions:
    """The positions of the symbols for which `is_mine` holds. One owner; the only one to publish them."""

    def __init__(
        self,
        shard: int,
        is_mine: Callable[[str], bool],
        *,
        lead: ExchangeLead,
        push_delay_sec: Callable[[], float],
        audit_max_age_sec: float,
        book: SnapshotBook,
        changes: Conflating[SnapshotChanged],
        writer: SnapshotWriter,
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """`lead` is shared with the other shards: it is one exchange. `push_delay_sec`: what is allowed for
        the exchange's push delay at present. `audit_max_age_sec`: how long after a symbol's last read the
        stream alone keeps it fresh."""
        self.is_mine = is_mine
        #: A read from before is older than what the book may hold of an earlier incarnation.
        self.begun: Moment | None = None
        #: What was read before tells nothing of the present stretch of the stream.
        self.read_wanted_after: Moment | None = None
        self.stream_proven = False
        self.last_reads = LastReads(audit_max_age_sec)
        self.unmatched_fills = UnmatchedFills()
        self.undated_reads = UndatedReads()
        #: Symbols whose position has changed, to what nobody may be told before they are read again.
        self.withheld: set[str] = set()
        self._shard = shard
        self._book = book
        self._published = PublishedSnapshots(shard, book, changes, writer)
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._states: dict[str, SymbolState] = {}
        self._leverages: dict[str, LeverageObserved] = {}
        self._lead = lead
        self._epoch = 0
        self._stream_since: Moment | None = None
        self._proof: StreamProof | None = None
        self._doubts = StreamDoubts(self.state_of, self._distrust_stream, push_delay_sec, clock)
        self._stirred = trio.lowlevel.ParkingLot()

    def knows(self, symbol: str) -> bool:
        """Whether anything was ever told or read of the symbol."""
        return symbol in self._states

    def is_unreadable(self, symbol: str) -> bool:
        """Say if the latest read of the symbol could not be read."""
        return symbol in self._book.unreadable

    @property
    def trust_lost_at(self) -> Moment | None:
        """Moment of the last loss of trust in the stream: no read sent until then is believed."""
        return self._book.trust_lost_at

    def begin(self) -> None:
        """Reads that were sent before this moment are not taken in any more."""
        self.begun = self._clock.now()

    def read_needed_after(self, symbol: str) -> Moment | None:
        """The moment after which a read must be sent to show more of the symbol than is known; None: any.

        That is later than the latest read of it, the latest loss of trust, and the beginning of this shard.
        """
        moments = (self.begun, self.last_reads.sent(symbol), self.trust_lost_at)
        latest = max((moment for moment in moments if moment is not None), default=None)
        return None if latest is None else just_after(latest)

    def state_of(self, symbol: str) -> SymbolState:
        """All that is known of the symbol's position; an empty state where nothing is."""
        return self._states.get(symbol) or SymbolState(symbol)

    async def stirred(self) -> None:
        """Wait until something happens that may call for an earlier read."""
        await self._stirred.park()

    def take_in(self, messages: Sequence[ShardMessage]) -> None:
        """Apply what the streams have told, in its order, and publish what that changes."""
        if not any(isinstance(message, StreamLost) for message in messages):
            self._heed_lost_trust()
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
                case MarkPrices():
                    self._published.mark(message.by_symbol)
                case LeverageObserved():
                    self._apply_leverage(message)
                    touched[message.symbol] = None
                case _:
                    self._follow_stream(message)
        if self._publish(touched, pushed=True):
            self._stirred.unpark_all()

    def apply_read(self, read: PositionsRead, verified_by: VerifiedBy = VerifiedBy.REST) -> None:
        """Merge a read of all symbols, or of one, and publish."""
        self._heed_lost_trust()
        rows: dict[str, list[PositionRow]] = {}
        for row in read.rows:
            if self.is_mine(row.symbol):
                rows.setdefault(row.symbol, []).append(row)
        trusted_since = self._stream_since if self.stream_proven else None
        ahead_ms = self._lead.at_least_ms(read.received)
        latest_ms = self._lead.latest_date_ms(read.received)
        for symbol, symbol_rows in rows.items():
            self._states[symbol], disagreements = apply_rest(
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
            self.undated_reads.read(symbol, read.sent)
            self._doubts.raise_all(disagreements)
            leverage = self._leverages.get(symbol)
            if leverage is not None and leverage.received >= read.sent:
                self._apply_leverage(leverage)
            self.last_reads.read(symbol, read.sent)
            self.unmatched_fills.read(symbol, read.sent)
        withheld = self._publish(rows)
        if withheld:
            for symbol in withheld:
                if self._states[symbol].disputed_at is None:
                    self.undated_reads.withheld(symbol, read.sent)
            self._stirred.unpark_all()

    def apply_absence(self, shown: Container[str], read: PositionsRead, asked: str | None = None) -> None:
        """Merge what a read lacks: known symbols, or the one that was asked for, that are not among `shown`.

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

    async def judge_disagreements(self) -> None:
        """Stop believing a stream that leaves a read unexplained. Until cancelled."""
        await self._doubts.judge()

    def _apply_push(self, told: PositionObserved) -> None:
        symbol, position, received = told.symbol, told.position, told.received
        latest_ms = self._lead.latest_date_ms(received)
        possible = latest_ms is None or position.update_time_ms <= latest_ms
        if possible:
            self._lead.observe(position.update_time_ms, received)
        self._states[symbol] = apply_push(
            self.state_of(symbol),
            position,
            received,
            stream_since=self._stream_since,
            exchange_ahead_ms=self._lead.at_least_ms(received),
            not_after_ms=latest_ms,
        )
        if possible:
            self.unmatched_fills.updated(symbol, position.leg, position.update_time_ms)

    def _apply_leverage(self, told: LeverageObserved) -> None:
        """A read that was sent before this was told does not undo it."""
        self._leverages[told.symbol] = told
        state = self.state_of(told.symbol)
        self._states[told.symbol] = msgspec.structs.replace(state, leverage=told.leverage)

    def _expect_update_for(self, fill: FillObserved) -> None:
        state = self._states.get(fill.symbol)
        known = None if state is None else state.leg(fill.leg)
        if known is None or known.row.update_time_ms < fill.transaction_ms:
            self.unmatched_fills.expect_update_for(fill)
            self._stirred.unpark_all()

    def _follow_stream(self, news: StreamConnected | StreamProven | StreamLost) -> None:
        match news:
            case StreamConnected(epoch, since):
                self._epoch = epoch
                self._begin_stretch(since)
            case StreamProven(epoch, as_of):
                if self._stream_since is None or epoch != self._epoch:
                    # A restarted fetcher learns of the connection here, and can vouch for nothing before.
                    self._epoch = epoch
                    self._begin_stretch(self._clock.now())
                self._apply_proof(as_of)
            case StreamLost(epoch):
                if epoch >= self._epoch:
                    self._keep_proof()
                    self._stream_since, self.stream_proven = None, False
                    self._doubts.drop()
                    self._stirred.unpark_all()

    def _apply_proof(self, as_of: Moment) -> None:
        since, lost_at = self._stream_since, self._book.trust_lost_at
        if since is None or as_of < since or (lost_at is not None and since < lost_at):
            return
        reads = self.last_reads
        proven: list[str] = []
        oldest = reads.oldest_audit(self._clock.now())
        for symbol, grounded in self._published.vouched():
            if grounded < since:
                continue
            if reads.audited_since(symbol, oldest):
                proven.append(symbol)
            else:
                self._published.stop_vouching(symbol)
        undated = [symbol for symbol in self.undated_reads.symbols() if reads.read_since(symbol, since)]
        if proven or undated:
            if not self.stream_proven:
                self._metrics.send(SetGauge("p33_stream_trusted", 1))
            self.stream_proven = True
            self._proof = StreamProof(since, as_of)
            self._book.prove(self._shard, self._proof)
            self._writer.proven(proven)
            self._publish(undated)

    def _keep_proof(self) -> None:
        """What was proven stays proven when the stream is lost, or snapshots would go back in time."""
        for symbol, grounded in self._published.vouched():
            snapshot = to_snapshot(self._states[symbol], self._proof_of(symbol))
            if snapshot is not None:
                self._published.put(snapshot, grounded)

    def _heed_lost_trust(self) -> None:
        """Another shard found that the stream had lost something: here, too, a read must come first."""
        lost_at = self._book.trust_lost_at
        if lost_at is not None and self._stream_since is not None and lost_at > self._stream_since:
            self._keep_proof()
            self._begin_stretch(lost_at)

    def _begin_stretch(self, since: Moment) -> None:
        self._stream_since, self.stream_proven = since, False
        self.read_wanted_after = since
        self._stirred.unpark_all()

    def _proof_of(self, symbol: str) -> StreamProof | None:
        """The proof, where it continues a read: what was only pushed may have been pushed by half."""
        proof = self._proof
        return proof if proof is not None and self.last_reads.read_since(symbol, proof.since) else None

    def _publish(self, symbols: Iterable[str], *, pushed: bool = False) -> list[str]:
        """Those that could not be published: nobody may be told yet when their position was so."""
        withheld: list[str] = []
        oldest, since = self.last_reads.oldest_audit(self._clock.now()), self._stream_since
        for symbol in symbols:
            state = self._states[symbol]
            audited = self.last_reads.audited_since(symbol, oldest)
            snapshot = to_snapshot(state, self._proof_of(symbol) if audited else None)
            if snapshot is None or self._lacks_a_read(snapshot):
                if state.disputed_at is not None:
                    self._published.dispute(symbol)
                    self.undated_reads.disputed(symbol, state.disputed_at)
                    self._stirred.unpark_all()
                # What was published is no longer so: it may not become fresher.
                self._published.stop_vouching(symbol)
                self.withheld.add(symbol)
                withheld.append(symbol)
                continue
            self.withheld.discard(symbol)
            self.undated_reads.published(symbol)
            vouched = audited and (since is None or self.last_reads.read_since(symbol, since))
            self._published.publish(snapshot, state.grounded if vouched else None, pushed=pushed)
        return withheld

    def _lacks_a_read(self, snapshot: Snapshot) -> bool:
        """Whether it would be believed without a read sent since trust was lost.

        It is then kept back until that read: it cannot be dated before the loss, when it was not yet true.
        """
        lost_at, sent = self._book.trust_lost_at, self.last_reads.sent(snapshot.symbol)
        return lost_at is not None and snapshot.verified_at > lost_at and (sent is None or sent <= lost_at)

    def _distrust_stream(self, disagreement: Disagreement) -> None:
        now = self._clock.now()
        self._log.warning(
            f"{disagreement.symbol}: stream diverged from the exchange",
            held=plain(disagreement.held.amount),
            read=plain(disagreement.read.amount),
            leg=disagreement.read.leg,
        )
        self._metrics.send(Count("p33_stream_divergence_total"))
        self._metrics.send(SetGauge("p33_stream_trusted", 0))
        self._keep_proof()
        self._book.lose_trust(now)
        self._begin_stretch(now)
