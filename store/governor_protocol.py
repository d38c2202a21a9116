"""Protocol of the Governor's store. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from brain.identifiers import FencingToken, Symbol
from clocks.clocks import ShowsRedisTime
from store.governor_records import (
    GovernorCommit,
    GovernorReply,
    GovernorState,
    GrantChange,
    StoredEquity,
)
from store.protocol import AddressedStore, ConsumerGroup
from store.records import RedisRun


class GovernorStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the Governor, for all of its life in the shadow or not.

    In the shadow its groups, counts, events and audit have names of their own, and no permit, no block and no
    trading state are written, whatever is asked for.
    """

    @property
    def judged_plans(self) -> ConsumerGroup:
        """The group `governor` of `apply.plan` (`governor_shadow`).

        A new one begins now, one that was lost behind the last plan that was dealt with.
        """

    @property
    def settled_results(self) -> ConsumerGroup:
        """The group `governor_result_monitor` of `apply.result`. It begins as that of `judged_plans`."""

    async def governor_run(self, known_run_id: str | None) -> RedisRun:
        """Compare Redis's run with the one that is stored there and with `known_run_id`.

        `judge_plans` rests on this comparison.
        """

    async def governor_state(self, symbols: Sequence[Symbol]) -> GovernorState:
        """Read the state of the account and of `symbols`, in one step."""

    async def judge_plans(self, fence: FencingToken, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        """Write judgements in order, each whole or not at all; stop at the first whose basis has changed.

        In this order: type and rights checks, comparison with the basis, statistics, reservation, window,
        sums, mark, events, audit, block, disarm, acknowledgement, permit.
        Raises StoreUnavailableError where Redis may be another run than `governor_run` compared last.
        """

    async def change_grants(
        self, fence: FencingToken, version: tuple[str, str], changes: Sequence[GrantChange]
    ) -> tuple[bool, ...] | None:
        """Settle or expire grants; for each, whether it was written or its permit consumed.

        The first whose permit is consumed ends the list, since sums behind it rest on it. None, with nothing
        written, where the account's version is not `version[0]`, or a reservation not the stored one, as the
        changes before it leave it. The version becomes `version[1]`. A result that finds no reservation is
        acknowledged, and changes nothing.
        """

    async def stored_equity(self) -> StoredEquity:
        """Read `governor:equity`."""

    async def write_equity(self, fence: FencingToken, fields: Mapping[str, str]) -> None:
        """Write `governor:equity`."""
