"""Whose plans are being settled: those of one symbol only by one task at a time."""

from __future__ import annotations

from collections.abc import Collection

import trio


class SymbolTurns:
    """Lets batches be settled beside each other where they share no symbol, and one after the other else."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._waiting = trio.lowlevel.ParkingLot()

    async def take(self, symbols: Collection[str]) -> None:
        """Wait until all of `symbols` are free, and take them. Where they are, this is no checkpoint."""
        while not self._taken.isdisjoint(symbols):
            await self._waiting.park()
        self._taken.update(symbols)

    def give_back(self, symbols: Collection[str]) -> None:
        """They are settled, or a lane of theirs has them."""
        self._taken.difference_update(symbols)
        self._waiting.unpark_all()
