"""Reads of positions in bulk until the exchange refuses that, and symbol by symbol from then on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from exchange.position_reads import PositionReads
from supervision import Heartbeat


class Refresh(Protocol):
    """Way of reading positions when they are due: all in one request, or symbol by symbol."""

    async def run(self, heartbeat: Heartbeat) -> None:
        """Read positions whenever they are due, until cancelled."""


class AutoRefresh:
    """Part of a snapshot fetcher that reads symbol by symbol once the exchange refuses bulk reads."""

    def __init__(self, reads: PositionReads, *, bulk: Refresh, one_by_one: Refresh, sweep: Refresh) -> None:
        """`sweep` runs beside `one_by_one`, which reads the candidates only."""
        self._reads = reads
        self._bulk = bulk
        self._one_by_one = one_by_one
        self._sweep = sweep

    async def run(self, heartbeat: Heartbeat) -> None:
        """Read positions whenever they are due, until cancelled."""
        if not self._reads.one_by_one:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._bulk.run, heartbeat)
                await self._reads.refused()
                nursery.cancel_scope.cancel()
        with heartbeat.idle():
            async with trio.open_nursery() as nursery:
                for part in (self._one_by_one, self._sweep):
                    nursery.start_soon(as_task, part.run, heartbeat)


async def as_task(part: Callable[[Heartbeat], Awaitable[None]], heartbeat: Heartbeat) -> None:
    """Run a part of the fetcher with a heartbeat of its own."""
    with heartbeat.task() as task:
        await part(task)
