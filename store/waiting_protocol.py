"""Protocol of the store of the page of what waits. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from store.records import SymbolState
from store.waiting_records import Waiting


class WaitingStore(Protocol):
    """Store of the page of what waits."""

    async def waiting(self) -> Waiting:
        """Return what waits on `apply.plan` and `apply.result`: 20 entries of each kind, cut to size."""

    async def open_permits(self, symbols: Sequence[str]) -> dict[str, SymbolState]:
        """As `PlanStore.open_permits`."""
