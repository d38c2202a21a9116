"""Per-symbol locks: one task at a time decides a symbol's plans."""

from __future__ import annotations

from collections.abc import Collection

import trio


class SymbolLocks:
    """Locks of several symbols, taken together: batches that share no symbol are decided concurrently."""

    def __init__(self) -> None:
        self._locked: set[str] = set()
        self._waiting = trio.lowlevel.ParkingLot()

    async def acquire(self, symbols: Collection[str]) -> None:
        """Wait until all of `symbols` are free, and lock them. No checkpoint where they are free."""
        while not self._locked.isdisjoint(symbols):
            await self._waiting.park()
        self._locked.update(symbols)

    def release(self, symbols: Collection[str]) -> None:
        """Unlock `symbols`: their plans are decided, or in their lanes."""
        self._locked.difference_update(symbols)
        self._waiting.unpark_all()
