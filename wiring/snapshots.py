"""What the snapshot fetchers are given. All shards read through the same few parts, made here once."""

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
from channels import Flows
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
    """Makes fetchers. `positions` and `latency` are what all of them, and others, read through."""

    def __init__(
        self,
        settings: Settings,
        flows: Flows,
        store: Store,
        exchange: Exchange,
        *,
        weight_per_read: Callable[[], int],
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._flows = flows
        self._store = store
        self._exchange = exchange
        self._clocks = clocks
        self._log = log
        self.latency = ReadLatency()
        book_read = BookRead(flows.book, flows.candidates, clocks)
        self.positions = PositionReads(
            exchange, book_read, self.latency, fetch_mode=settings.fetch_mode, clock=clocks, log=log
        )
        self._turns = trio.Lock()
        self._pacer = ReadPacer(read_pace(settings), weight_per_read)
        self._swept = SweptSymbols(flows.symbol_rules, flows.never_read)
        self._cadence = Cadence(settings.poll_sec, settings.audit_sec)

    def fetcher(self, shard: int) -> SnapshotFetcher:
        """One that knows nothing yet."""
        flows = self._flows
        writer = SnapshotWriter(
            self._store,
            flows.book,
            flows.lease,
            source=self._settings.snapshot_source,
            ondemand_ttl_sec=self._settings.ondemand_ttl_sec,
            redis_address=self._store.address,
            turns=self._turns,
            log=self._log,
        )
        known = ShardPositions(
            shard,
            lambda symbol: flows.shard_of(symbol) == shard,
            lead=self._clocks.exchange,
            push_delay_sec=self._push_delay_sec,
            audit_max_age_sec=self._settings.audit_max_age_sec,
            book=flows.book,
            changes=flows.changes,
            writer=writer,
            metrics=flows.metrics,
            clock=self._clocks,
            log=self._log,
        )
        return SnapshotFetcher(
            known,
            self._refresh(known),
            writer,
            inbox=flows.shards[shard],
            on_demand=flows.on_demand[shard],
            on_demand_reads=self.positions.on_demand,
            metrics=flows.metrics,
            log=self._log,
        )

    def _push_delay_sec(self) -> float:
        status = self._flows.stream_status.value
        return 0.0 if status is None else status.allowance_sec

    def _refresh(self, known: ShardPositions) -> AutoRefresh:
        metrics, log, reads = self._flows.metrics, self._log, self.positions
        one_by_one = PerSymbolRefresh(
            known,
            self._flows.candidates,
            self._exchange,
            self._pacer,
            self.latency,
            self._cadence,
            metrics=metrics,
            log=log,
        )
        bulk = BulkRefresh(known, reads.all, self._cadence, metrics=metrics, clock=self._clocks, log=log)
        sweep = PositionSweep(
            known, reads, self._exchange, self._pacer, self._swept, clock=self._clocks, log=log
        )
        return AutoRefresh(reads, bulk=bulk, one_by_one=one_by_one, sweep=sweep)
