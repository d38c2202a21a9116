"""Reads positions in bulk until the exchange refuses that, and symbol by symbol from then on."""

from __future__ import annotations

import trio

from actors.snapshot_fetcher.actor import Refresh
from exchange.position_reads import PositionReads
from supervision import Heartbeat


class AutoRefresh:
    """Part of a snapshot fetcher: the one way of reading, then the other, as `PositionReads` finds out."""

    def __init__(self, reads: PositionReads, *, bulk: Refresh, one_by_one: Refresh, sweep: Refresh) -> None:
        """`sweep` finds positions beside `one_by_one`, which reads the candidates only."""
        self._reads = reads
        self._bulk = bulk
        self._one_by_one = one_by_one
        self._sweep = sweep

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep positions read until cancelled."""
        if not self._reads.one_by_one:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._bulk.run, heartbeat)
                await self._reads.refused()
                nursery.cancel_scope.cancel()
        with heartbeat.idle():
            async with trio.open_nursery() as nursery:
                for part in (self._one_by_one, self._sweep):
                    nursery.start_soon(_on_a_strand, part, heartbeat)


async def _on_a_strand(part: Refresh, heartbeat: Heartbeat) -> None:
    with heartbeat.strand() as strand:
        await part.run(strand)
