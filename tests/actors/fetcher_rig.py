"""A snapshot fetcher on virtual time, with an exchange whose truth the test dictates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.actor import SnapshotFetcher
from actors.snapshot_fetcher.bulk_refresh import BulkRefresh
from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.read_schedule import Cadence
from actors.snapshot_fetcher.refresh import Refresh
from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.identifiers import ClientOrderId, FencingToken, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot
from channels import (
    Channels,
    Conflating,
    FillObserved,
    Lease,
    MarkPrice,
    MarksChanged,
    PositionObserved,
    ShardMessage,
    StreamConnected,
    StreamLost,
    StreamProven,
)
from clock import TrioClock
from clocks.clock_offset import ClockOffset
from exchange.on_demand_reads import OnDemandReads
from exchange.protocol import PositionsRead, Priority
from exchange.shared_read import SharedRead
from store.errors import StoreUnavailableError
from store.records import MarkWrite, SnapshotWrite
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange
from tests.background import background

CADENCE = Cadence(poll_sec=5, audit_sec=8, audit_max_age_sec=60)
_MOST_ANSWERS_AT_ONCE = 100


class KeptSnapshots:
    """A snapshot store that keeps every write, and can be away. `written`: the symbols of whole writes."""

    address = "test"

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.times: dict[str, list[int]] = {}
        self.written: list[list[str]] = []
        self.ttls_sec: dict[str, int] = {}
        self.away = False
        self.refuses_whole = False
        self.takes_sec = 0.0

    async def write_snapshots(self, fence: FencingToken, snapshots: Sequence[SnapshotWrite]) -> None:
        await trio.sleep(self.takes_sec)
        self._check()
        if self.refuses_whole:
            raise StoreUnavailableError("no whole ones")
        self.written.append([write.symbol for write in snapshots])
        for write in snapshots:
            self.ttls_sec[write.symbol] = write.ttl_sec
            fields = dict(zip(write.fields[::2], write.fields[1::2], strict=True))
            self.hashes[write.symbol] = fields
            self.times.setdefault(write.symbol, []).append(int(fields["ts_epoch_ms"]))

    async def prove_snapshots(
        self,
        fence: FencingToken,
        written_ms: Mapping[str, int],
        *,
        times: Mapping[str, str],
        verified_by: str,
        ttl_sec: int,
        marks: Mapping[str, MarkWrite],
    ) -> list[str]:
        await trio.sleep(self.takes_sec)
        self._check()
        missing: list[str] = []
        for symbol, was_ms in written_ms.items():
            if self.hashes.get(symbol, {}).get("ts_epoch_ms") == str(was_ms):
                self.hashes[symbol] |= {**times, "verified_by": verified_by}
                self.times[symbol].append(int(times["ts_epoch_ms"]))
                if was_ms // 60_000 != int(times["ts_epoch_ms"]) // 60_000:
                    self.ttls_sec[symbol] = ttl_sec
                if symbol in marks:
                    self._mark(marks[symbol])
            else:
                missing.append(symbol)
        return missing

    async def write_marks(self, fence: FencingToken, marks: Sequence[MarkWrite]) -> None:
        await trio.sleep(self.takes_sec)
        self._check()
        for mark in marks:
            if mark.symbol in self.hashes:
                self._mark(mark)

    def _mark(self, mark: MarkWrite) -> None:
        self.hashes[mark.symbol] |= {
            "mark_price": mark.mark_price,
            "unrealized_pnl": mark.unrealized_pnl,
            "mark_ts_epoch_ms": mark.mark_ts_epoch_ms,
        }

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailableError("away")


class BoundedRead(SharedRead):
    """Raises AssertionError for who takes answers without end: where no time passes, nothing else would."""

    _moment: Moment | None = None
    _answers = 0

    async def read(
        self, sent_after: Moment | None = None, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        answer = await super().read(sent_after, priority)
        before, self._moment = self._moment, self._clock.now()
        self._answers = self._answers + 1 if self._moment == before else 1
        assert self._answers <= _MOST_ANSWERS_AT_ONCE, "the same answer is taken again and again"
        return answer


class FetcherRig(Channels):
    """One fetcher for all symbols, and the service's channels."""

    def __init__(self) -> None:
        super().__init__(shards=1)
        self.clock = TrioClock(EPOCH_MS)
        self.exchange = DictatedExchange(self.clock)
        self.store = KeptSnapshots()
        self.inbox: Conflating[ShardMessage] = Conflating("inbox", id)
        self.lease.send(Lease(FencingToken("1:me"), "me"))
        self.positions = BoundedRead(partial(self.exchange.positions), self.clock)
        self.log: FilteringBoundLogger = structlog.get_logger()
        self.turns = trio.Lock()
        self.epoch = 0
        self.push_delay_sec = 0.25
        self.one_by_one = False

    def fetcher(
        self,
        *,
        shard: int = 0,
        is_mine: Callable[[str], bool] = lambda _symbol: True,
        inbox: Conflating[ShardMessage] | None = None,
    ) -> SnapshotFetcher:
        """A fetcher that reads in bulk: the only one, or that of one shard with an inbox of its own."""

        def bulk(known: ShardPositions) -> Refresh:
            return BulkRefresh(
                known, self.positions, trio.Lock(), metrics=self.metrics, clock=self.clock, log=self.log
            )

        return self.fetcher_with(bulk, shard=shard, is_mine=is_mine, inbox=inbox)

    def fetcher_with(
        self,
        refresh: Callable[[ShardPositions], Refresh],
        *,
        shard: int = 0,
        is_mine: Callable[[str], bool] = lambda _symbol: True,
        inbox: Conflating[ShardMessage] | None = None,
    ) -> SnapshotFetcher:
        known, writer = self.positions_of(shard, is_mine)
        return SnapshotFetcher(
            known,
            refresh(known),
            writer,
            inbox=self.inbox if inbox is None else inbox,
            on_demand=self.on_demand[0],
            on_demand_reads=OnDemandReads(self.exchange, self.positions, lambda: self.one_by_one, self.clock),
            metrics=self.metrics,
            log=self.log,
        )

    def positions_of(
        self, shard: int = 0, is_mine: Callable[[str], bool] = lambda _symbol: True
    ) -> tuple[ShardPositions, SnapshotWriter]:
        """Return the positions of a fetcher, and their writer."""
        writer = SnapshotWriter(
            self.store,
            self.book,
            self.lease,
            source="simulator",
            ondemand_ttl_sec=300,
            turns=self.turns,
            log=structlog.get_logger(),
        )
        known = ShardPositions(
            shard,
            is_mine,
            cadence=CADENCE,
            clock_offset=ClockOffset(self.exchange.exchange_ms_at_least, self.exchange.exchange_ms_at_most),
            push_delay_sec=lambda: self.push_delay_sec,
            book=self.book,
            changes=self.changes,
            writer=writer,
            metrics=self.metrics,
            clock=self.clock,
            log=self.log,
        )
        return known, writer

    def connect(self) -> None:
        self.epoch += 1
        self.inbox.send(StreamConnected(self.epoch, self.clock.now()))

    def prove(self, *, ago_sec: float = 0.25) -> None:
        self.inbox.send(StreamProven(self.epoch, self.clock.now().earlier_by(ago_sec)))

    def lose(self) -> None:
        self.book.lose_trust(self.clock.now())
        self.inbox.send(StreamLost(self.epoch, self.clock.now(), "test"))

    def mark(self, price: str, ts_ms: int, *symbols: str) -> None:
        self.book.mark(dict.fromkeys(symbols, MarkPrice(Decimal(price), ts_ms)))
        self.inbox.send(MarksChanged())

    def push(self, symbol: str, position: LegPosition) -> None:
        self.inbox.send(PositionObserved(symbol, position, self.clock.now()))

    def push_fill(self, symbol: str, transaction_ms: int) -> None:
        self.inbox.send(
            FillObserved(
                Symbol(symbol),
                Leg.BOTH,
                OrderId("77"),
                ClientOrderId("web_1"),
                "BUY",
                Decimal(1),
                "FILLED",
                transaction_ms,
                self.clock.now(),
            )
        )

    def snapshot(self, symbol: str) -> Snapshot:
        found = self.book.get(symbol)
        assert found is not None, f"no snapshot of {symbol}"
        return found

    def age_sec(self, symbol: str) -> float:
        return self.snapshot(symbol).verified_at.age_sec(self.clock.now())

    async def prove_for(self, seconds: float) -> None:
        """A second's proofs, for so long."""
        for _ in range(round(seconds)):
            self.prove()
            await trio.sleep(1)


@asynccontextmanager
async def running_fetcher(
    rig: FetcherRig, fetcher: SnapshotFetcher | None = None
) -> AsyncIterator[FetcherRig]:
    async with background((fetcher or rig.fetcher()).run, Heartbeat()):
        yield rig


async def trusted(rig: FetcherRig) -> None:
    """Connected, read once, and proven."""
    rig.connect()
    await trio.sleep(1)
    rig.prove()
    await trio.sleep(0.01)


@asynccontextmanager
async def trusted_fetcher(rig: FetcherRig) -> AsyncIterator[None]:
    """Run a fetcher that has read once and trusts its stream."""
    async with running_fetcher(rig):
        await trusted(rig)
        yield


async def diverged(rig: FetcherRig) -> None:
    """Prove the stream until an audit has found a change that it did not push."""
    with trio.fail_after(15):
        while rig.book.trust_lost_at is None:
            rig.prove()
            await trio.sleep(0.05)
