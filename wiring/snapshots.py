"""Makes the snapshot fetchers. All shards read through the same parts, which are made once."""

from __future__ import annotations

from collections.abc import Callable

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.actor import SnapshotFetcher
from actors.snapshot_fetcher.bulk_refresh import BulkRefresh
from actors.snapshot_fetcher.per_symbol_refresh import PerSymbolRefresh
from actors.snapshot_fetcher.position_sweep import PositionSweep, SweptSymbols
from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.read_schedule import Cadence
from actors.snapshot_fetcher.refresh import AutoRefresh
from actors.snapshot_fetcher.writer import SnapshotWriter
from channels import Channels
from clocks.clocks import Clocks
from exchange.book_read import BookRead
from exchange.position_reads import PositionReads
from exchange.protocol import Exchange
from exchange.read_latency import ReadLatency
from exchange.read_pacer import ReadPacer
from settings import Settings
from store.protocol import Store
from wiring.rules import read_pace


class SnapshotMaking:
    """Makes fetchers. `positions` and `latency` are shared by all of them, and by other actors."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        store: Store,
        exchange: Exchange,
        *,
        weight_per_read: Callable[[], int],
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._store = store
        self._exchange = exchange
        self._clocks = clocks
        self._log = log
        self.latency = ReadLatency()
        book_read = BookRead(channels.book, channels.candidates, clocks)
        self.positions = PositionReads(
            exchange, book_read, self.latency, fetch_mode=settings.fetch_mode, clock=clocks, log=log
        )
        self._writing, self._merging = trio.Lock(), trio.Lock()
        self._pacer = ReadPacer(read_pace(settings), weight_per_read)
        self._swept = SweptSymbols(channels.symbol_rules, channels.never_read)
        self._cadence = Cadence(settings.poll_sec, settings.audit_sec, settings.audit_max_age_sec)

    def fetcher(self, shard: int) -> SnapshotFetcher:
        """Return a new fetcher of a shard."""
        channels = self._channels
        writer = SnapshotWriter(
            self._store,
            channels.book,
            channels.lease,
            source=self._settings.snapshot_source,
            ondemand_ttl_sec=self._settings.ondemand_ttl_sec,
            turns=self._writing,
            log=self._log,
        )
        known = ShardPositions(
            shard,
            lambda symbol: channels.shard_of(symbol) == shard,
            cadence=self._cadence,
            clock_offset=self._clocks.exchange,
            push_delay_sec=self._push_delay_sec,
            book=channels.book,
            changes=channels.changes,
            writer=writer,
            metrics=channels.metrics,
            clock=self._clocks,
            log=self._log,
        )
        return SnapshotFetcher(
            known,
            self._refresh(known),
            writer,
            inbox=channels.shards[shard],
            on_demand=channels.on_demand[shard],
            on_demand_reads=self.positions.on_demand,
            metrics=channels.metrics,
            log=self._log,
        )

    def _push_delay_sec(self) -> float:
        status = self._channels.stream_status.value
        return 0.0 if status is None else status.allowance_sec

    def _refresh(self, known: ShardPositions) -> AutoRefresh:
        metrics, log, reads = self._channels.metrics, self._log, self.positions
        one_by_one = PerSymbolRefresh(
            known,
            self._channels.candidates,
            self._exchange,
            self._pacer,
            self.latency,
            metrics=metrics,
            log=log,
        )
        bulk = BulkRefresh(known, reads.all, self._merging, metrics=metrics, clock=self._clocks, log=log)
        sweep = PositionSweep(
            known, reads, self._exchange, self._pacer, self._swept, clock=self._clocks, log=log
        )
        return AutoRefresh(reads, bulk=bulk, one_by_one=one_by_one, sweep=sweep)
