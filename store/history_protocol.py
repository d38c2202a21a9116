"""Protocol of the history's store. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from brain.history import Minute
from brain.identifiers import FencingToken
from clocks.clocks import ShowsRedisTime
from store.protocol import AddressedStore


class HistoryStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the history writer and the history page."""

    async def write_minute(self, fence: FencingToken, minute: Minute) -> bool:
        """Write a minute in its slot of the day; False where the slot holds that minute already."""

    async def minutes(self, first: int, last: int) -> Sequence[Minute]:
        """Return the minutes that are stored of those from `first` to `last` (epoch minutes), in order.

        At most the latest 1,440. Those that cannot be read are left out.
        """
