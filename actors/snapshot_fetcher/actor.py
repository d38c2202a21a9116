"""Snapshots of one shard's symbols: from the stream while it is proven, from REST otherwise."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.refresh import Refresh, as_task
from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.moment import Moment
from brain.positions.position import VerifiedBy
from channels import Conflating, Count, DropOldest, MetricEvent, OnDemandRead, PushBack, ShardMessage
from exchange.errors import ExchangeError
from exchange.on_demand_reads import OnDemandReads
from supervision import Heartbeat


class SnapshotFetcher:
    """Applies the streams' messages, reads positions when they are due, and has the snapshots written.

    The stream pushes changes, and its proofs show that nothing else changed since the first REST read of
    each session. An older row never overwrites a newer one (`brain.positions.merging`). A restarted fetcher
    reads all its symbols at once, while the book keeps their snapshots; for it a session begins at the next
    proof, and one more read is due then.
    """

    def __init__(
        self,
        known: ShardPositions,
        refresh: Refresh,
        writer: SnapshotWriter,
        *,
        inbox: Conflating[ShardMessage],
        on_demand: PushBack[OnDemandRead],
        on_demand_reads: OnDemandReads,
        metrics: DropOldest[MetricEvent],
        log: FilteringBoundLogger,
    ) -> None:
        """`known`, `refresh` and `writer` are parts of this actor alone; `on_demand_reads` is shared with the
        other shards."""
        self._known = known
        self._refresh = refresh
        self._writer = writer
        self._inbox = inbox
        self._on_demand = on_demand
        self._on_demand_reads = on_demand_reads
        self._metrics = metrics
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep the shard's snapshots fresh until cancelled."""
        self._known.schedule.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._observe, heartbeat)
            nursery.start_soon(self._known.judge_discrepancies)
            nursery.start_soon(self._serve_on_demand)
            for part in (self._refresh.run, self._writer.run):
                nursery.start_soon(as_task, part, heartbeat)

    async def _observe(self, heartbeat: Heartbeat) -> None:
        """Apply the messages of the streams."""
        while True:
            with heartbeat.idle():
                messages = await self._inbox.receive_all()
            self._known.take_in(messages)

    async def _serve_on_demand(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._read_one, await self._on_demand.receive(), nursery)

    async def _read_one(self, request: OnDemandRead, nursery: trio.Nursery) -> None:
        """Read one symbol for a waiting decision; a failure is reported, not retried."""
        why_not: str | None = None
        with trio.move_on_at(request.deadline_sec) as scope:
            # A position that changed while it was read is read once more, which dates it.
            for _ in range(2):
                why_not = await self._read_now(request, nursery)
                if why_not is not None or self._known.schedule.ambiguous_reads.since(request.symbol) is None:
                    break
                why_not = "it changed each time while it was read"
        if scope.cancelled_caught:
            why_not = "no answer in time"
        status = "ok" if why_not is None else "error"
        label = request.symbol if self._known.is_known(request.symbol) else "other"
        self._metrics.send(Count("p33_snapshot_total", (label, status)))
        with request.reply:
            try:
                request.reply.send_nowait(why_not)
            except trio.BrokenResourceError:
                self._log.debug("On-demand read: its decision has ended", symbol=request.symbol)

    async def _read_now(self, request: OnDemandRead, nursery: trio.Nursery) -> str | None:
        """Read one symbol; return None, or the reason why nothing was read."""
        symbol = request.symbol
        try:
            read, of_all = await self._on_demand_reads.read(
                symbol,
                _later(self._known.schedule.new_since(symbol), request.sent_after),
                request.deadline_sec,
                nursery,
            )
        except ExchangeError as error:
            return str(error)
        self._known.apply_read(read, VerifiedBy.REST if of_all else VerifiedBy.ONDEMAND)
        if not any(row.symbol == symbol for row in read.rows):
            self._known.apply_absence((), read, symbol)
            unreadable = read.unreadable.get(symbol, read.unreadable.get(""))
            return unreadable or "the exchange shows no position for this symbol"
        return None


def _later(one: Moment | None, other: Moment | None) -> Moment | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
