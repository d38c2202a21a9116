"""Protocol of decision intelligence's store. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from brain.identifiers import FencingToken
from clocks.clocks import ShowsRedisTime
from store.intelligence_records import CountedResult, WindowWrite
from store.protocol import AddressedStore, ConsumerGroup


class IntelligenceStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of decision intelligence."""

    @property
    def counted_results(self) -> ConsumerGroup:
        """The group `p35_decision_intel` of `apply.result`.

        A new one begins now, one that was lost behind the last result that was dealt with.
        """

    async def count_results(self, fence: FencingToken, results: Sequence[CountedResult]) -> list[bool]:
        """Count results in the buckets of their minutes, and acknowledge them, in one step.

        Returns for each whether it was counted: one that is not pending, or was counted before, is
        acknowledged alone. Of many names in one minute those that come last are counted as `other`.
        """

    async def intelligence_buckets(self, minutes: Sequence[str]) -> list[Mapping[bytes, bytes]]:
        """Read the buckets of minutes; an empty one for a minute without results."""

    async def write_windows(
        self,
        fence: FencingToken,
        windows: Sequence[WindowWrite],
        *,
        unknown: Sequence[tuple[str, int]],
        status: Mapping[str, str],
    ) -> int:
        """Replace windows, and the decisions that were not understood, as a whole.

        Adds `pending_estimate` to the fields of `status`, and returns it: the number of delivered results
        that are not counted yet.
        """
