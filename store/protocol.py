"""What actors ask of the store: one small protocol a role, so that a constructor shows what an actor touches.

Every method raises StoreUnavailableError while Redis is away and StoreRefusedError when it refuses. Methods
that take a `fence` write only while it is the current lease, and raise FencedError otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from brain.durability import Durability
from store.records import (
    Adoption,
    BookingKeys,
    BookingState,
    CommitReply,
    DecisionCommit,
    Entry,
    LeaseReply,
    MarkWrite,
    PermitTraces,
    RedisRun,
    Restraints,
    ResultCommit,
    SnapshotWrite,
    SymbolState,
    UniverseKeys,
    UnknownOutcomes,
)

#: No read waits longer, so that a server which went silent is noticed: ask again.
LONGEST_BLOCK_MS = 2000


class AddressedStore(Protocol):
    """A store that names its Redis in log lines and waits."""

    @property
    def address(self) -> str:
        """Return the address of Redis, without credentials."""
        ...


class PlanStore(AddressedStore, Protocol):
    """The permit evaluator's side."""

    async def create_plan_group(self, *, lost: bool) -> None:
        """Make sure the plan stream's consumer group exists.

        A new one begins now; one that is `lost`, or that this Redis had before, at the start of the stream.
        """
        ...

    async def new_plans(self, *, count: int, block_ms: int) -> list[Entry]:
        """Plans that nobody was given yet, waiting up to `block_ms` for the first. GroupLostError.

        0 waits for nothing; `LONGEST_BLOCK_MS` is the most.
        """
        ...

    async def recover_plans(self, *, fence: str, after: str, idle_ms: int, count: int) -> list[Entry]:
        """Claim the oldest pending plans behind entry `after` (`0`: any) that lay idle for `idle_ms`.

        At most `count`, oldest first; empty when there is none. One that was delivered more than once before
        comes alone: it may be what ends processes, and must not take others with it each time.
        """
        ...

    async def commit_decisions(self, fence: str, decisions: Sequence[DecisionCommit]) -> CommitReply:
        """Write each decision whole or not at all; one verdict each, in order."""
        ...

    async def open_permits(self, symbols: Sequence[str]) -> dict[str, SymbolState]:
        """The open permits of those of `symbols` that have any, with their version; the rest of each state is
        left empty. Permits that have expired may be among them. What cannot be read is left out.
        """
        ...

    async def unread_result(self, after: str) -> str | None:
        """The id of the first entry of `apply.result` behind `after`; None where there is none yet."""
        ...

    async def acknowledge_plans(self, fence: str, entry_ids: Sequence[str]) -> None:
        """Be done with entries that ask for no permit."""
        ...

    async def bury_plan(self, fence: str, entry_id: str, fields: Sequence[str]) -> None:
        """Put an entry that cannot be answered into the dead-letter stream, and acknowledge it."""
        ...

    async def redis_now_ms(self) -> int:
        """Redis's clock."""
        ...

    async def redis_run(self, known_run_id: str | None) -> RedisRun:
        """Which run of Redis this is, compared with the one remembered there and with `known_run_id`.

        And when the number of keys that it has evicted was last seen to have grown.
        """
        ...


class ResultStore(AddressedStore, Protocol):
    """The ledger writer's side."""

    async def create_result_group(self, *, lost: bool) -> None:
        """Make sure the consumer group on the result stream exists.

        It begins behind the last booked result; if that is not known, from now on, or if `lost` from the
        start.
        """
        ...

    async def new_results(self, *, count: int, block_ms: int) -> list[Entry]:
        """Results that nobody was given yet, otherwise like `new_plans`. GroupLostError."""
        ...

    async def recover_results(self, *, fence: str, after: str, idle_ms: int, count: int) -> list[Entry]:
        """Claim the oldest pending results like `recover_plans`, however often they were delivered."""
        ...

    async def booking_state(self, symbol: str, plan_id: str, order_ids: Sequence[str]) -> BookingState:
        """What the booking of a result rests on."""
        ...

    async def booking_states(self, wanted: Sequence[BookingKeys]) -> list[BookingState | None]:
        """Several at once; None where `booking_state` is refused."""
        ...

    async def commit_result(self, fence: str, commit: ResultCommit) -> int | None:
        """Book a result whole; Redis's clock then. None: what it rests on has changed, nothing is written."""
        ...

    async def commit_results(self, fence: str, commits: Sequence[ResultCommit]) -> list[int | None]:
        """One after the other, each whole or not at all; None where `commit_result` is refused, too.

        When it raises, those at the beginning may have been booked.
        """
        ...

    async def unknown_outcomes(self) -> UnknownOutcomes:
        """The plans whose order may have been filled; those that have ended may still be among them."""
        ...

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        """`last_known_amt` of the ledgers that exist."""
        ...

    async def adopt_ledgers(self, fence: str, adoptions: Sequence[Adoption], ttl_ms: int) -> list[str]:
        """Create the ledgers that are still missing; the symbols for which it did."""
        ...

    async def emit_event(self, fence: str, fields: Sequence[str]) -> None:
        """Append to the reconcile events (flat names and values)."""
        ...

    async def redis_now_ms(self) -> int:
        """Redis's clock."""
        ...

    async def renew_ledgers(self, fence: str, symbols: Sequence[str], ttl_ms: int) -> None:
        """Let ledgers live for another `ttl_ms`, and bring the fields that P3.4 reads into line."""
        ...


class SnapshotStore(AddressedStore, Protocol):
    """The snapshot fetchers' side."""

    async def write_snapshots(self, fence: str, snapshots: Sequence[SnapshotWrite]) -> None:
        """Replace snapshot hashes whole."""
        ...

    async def prove_snapshots(
        self,
        fence: str,
        written_ms: Mapping[str, int],
        *,
        times: Mapping[str, str],
        verified_by: str,
        ttl_sec: int,
    ) -> list[str]:
        """Set the `ts_…` fields, given as `times`, of snapshots that are as they were last written.

        `written_ms`: by symbol, the `ts_epoch_ms` that its hash has then. Answers the symbols that have no
        such hash: Redis may have lost the newest of it, and what it holds instead is not what is proven.
        """
        ...

    async def write_marks(self, fence: str, marks: Sequence[MarkWrite]) -> None:
        """Set the fields that follow the mark price, of those snapshots that exist."""
        ...


class UniverseStore(AddressedStore, Protocol):
    """The candidate planner's side."""

    async def universe(self) -> UniverseKeys:
        """The universe keys as they are."""
        ...

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        """The newest `count` intents above the id `after` and below `before` (None: any), newest first."""
        ...

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        """`last_known_amt` of the ledgers that exist."""
        ...

    async def redis_now_ms(self) -> int:
        """Redis's clock."""
        ...


class LeaseStore(AddressedStore, Protocol):
    """The lease holder's side."""

    async def hold_lease(
        self, instance: str, fence: str | None, ttl_ms: int, *, process: str = ""
    ) -> LeaseReply:
        """Renew the lease named by `fence`, or take it if it is free or this process's own.

        `process` names one process among all, and contains no colon. Without a `fence`, which is to say by a
        process that has never held the lease, it is taken from any other process of `instance`, too: one that
        restarts does not wait for the lease of its predecessor to expire.
        """
        ...

    async def release_lease(self, fence: str) -> None:
        """Give the lease up, if it is still ours."""
        ...


class BanStore(AddressedStore, Protocol):
    """Remembers a ban by the exchange, so that a restart does not walk into it."""

    async def remember_ban(self, until_ms: int) -> None:
        """Keep `until_ms` (Redis's clock) until it has passed."""
        ...

    async def remembered_ban(self) -> int | None:
        """When the remembered ban ends (Redis's clock, ms), None if there is none."""
        ...

    async def redis_now_ms(self) -> int:
        """Redis's clock."""
        ...


class OnlookerStore(Protocol):
    """The page's side: what nobody in the process keeps, read while somebody looks."""

    async def restraints(self, symbols: Sequence[str], booked: Sequence[str]) -> Restraints:
        """The holds and cooldown keys of `symbols`, the last order times of `booked`."""
        ...

    async def durability(self) -> Durability:
        """Whether Redis keeps what it acknowledges: that a plan is allowed at most once rests on it."""
        ...

    async def permit_traces(self, plan_id: str, symbol: str | None) -> PermitTraces:
        """What has become of a plan's permit."""
        ...


class Store(
    PlanStore, ResultStore, SnapshotStore, UniverseStore, LeaseStore, BanStore, OnlookerStore, Protocol
):
    """All of it."""


__all__ = [
    "LONGEST_BLOCK_MS",
    "BanStore",
    "LeaseStore",
    "OnlookerStore",
    "PlanStore",
    "ResultStore",
    "SnapshotStore",
    "Store",
    "UniverseStore",
]
