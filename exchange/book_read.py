"""Positions from the book, for accounts whose positions cannot be read in one request."""

from __future__ import annotations

import trio

from brain.moment import Moment
from brain.positions.position import Snapshot
from brain.symbols.candidates import Candidates
from channels import LatestValue, SnapshotBook
from clock import Clock
from exchange.protocol import PositionRow, PositionsRead

_LOOK_SEC = 0.1


class BookRead:
    """Read of all candidates, complete as soon as each was verified after its start.

    It sends no request; the snapshot fetchers read the candidates at their cadence.
    """

    def __init__(self, book: SnapshotBook, candidates: LatestValue[Candidates], clock: Clock) -> None:
        self._book = book
        self._candidates = candidates
        self._clock = clock

    async def read(self) -> PositionsRead:
        """Wait until it is complete, without a limit; raises nothing."""
        begun = self._clock.now()
        plan = await self._candidates.get()
        while any(self._verified_since(symbol, begun) is None for symbol in plan.symbols):
            await trio.sleep(_LOOK_SEC)
            plan = await self._candidates.get()
        rows = [
            PositionRow(symbol, leg, snapshot.leverage, snapshot.mark_price, snapshot.mark_ts_ms)
            for symbol in self._book.symbols()
            if (snapshot := self._verified_since(symbol, begun)) is not None
            for leg in snapshot.legs
        ]
        return PositionsRead(tuple(rows), begun, self._clock.now())

    def _verified_since(self, symbol: str, moment: Moment) -> Snapshot | None:
        snapshot = self._book.get(symbol)
        if snapshot is None or not self._book.is_trusted(snapshot):
            return None
        return snapshot if snapshot.verified_at >= moment else None
