"""Protocols of the store, one for each role: an actor's constructor shows which keys it uses.

Every method raises StoreUnavailableError while Redis does not answer and StoreRefusedError when it answers
with an error. Methods that take a `fence` write only while that is the current lease, and raise FencedError
otherwise. Scripts that write check the fence in Redis, in the same step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from brain.durability import Durability
from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from clocks.clocks import ShowsRedisTime
from store.consumers import GroupConsumer
from store.desk_protocol import DeskStore
from store.notice_records import SeenMark
from store.records import (
    Adoption,
    BookingKeys,
    BookingState,
    CommitReply,
    DecisionCommit,
    Entry,
    HoldsAndCooldowns,
    LeaseReply,
    MarkWrite,
    PermitTraces,
    RedisRun,
    ResultCommit,
    SnapshotWrite,
    SymbolState,
    UnknownOutcomes,
)
from store.universe_records import PublishedUniverse, UniverseKeys, UniverseWrite

#: Longest block of a read (ms), so that a silent server is noticed.
LONGEST_BLOCK_MS = 2000


class AddressedStore(Protocol):
    """A store that names its Redis in log lines and waits."""

    @property
    def address(self) -> str:
        """Return the address of Redis, without credentials."""


class ConsumerGroup(Protocol):
    """The consumer group of one stream. Without the group, reading and recovering raise GroupLostError."""

    @property
    def group(self) -> str:
        """The group's name."""

    @property
    def stream(self) -> str:
        """The stream's key."""

    async def create(self, *, lost: bool) -> None:
        """Make sure that the group exists. `lost`: it existed before, so begin where no entry is missed."""

    async def read_new(self, *, count: int, block_ms: int) -> list[Entry]:
        """Read entries that no consumer was given yet, and wait up to `block_ms` for the first.

        0 does not wait; `LONGEST_BLOCK_MS` is the most.
        """

    async def recover(self, *, fence: FencingToken, after: str, idle_ms: int, count: int) -> list[Entry]:
        """Claim the oldest pending entries behind entry `after` (`0`: any) that lay idle for `idle_ms`.

        At most `count`, oldest first; empty when there is none.
        """

    async def consumers(self) -> list[GroupConsumer]:
        """Return the group's consumers by name; none where there is no such group."""

    async def take_part(self, fence: FencingToken) -> None:
        """Record this consumer as one of ours, for good: a later instance of another name knows it."""

    async def acknowledge(self, fence: FencingToken, entry_ids: Sequence[EntryId]) -> None:
        """Acknowledge entries for which nothing is written."""

    async def dead_letter(self, fence: FencingToken, entry_id: EntryId, fields: Sequence[str]) -> None:
        """Append `fields` (flat names and values) to the dead-letter stream, and acknowledge the entry."""


class PlanStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the permit evaluator."""

    @property
    def plans(self) -> ConsumerGroup:
        """The group of `apply.plan`.

        A new one begins now; one that is `lost`, or that this Redis had before, at the start of the stream.
        A plan that was delivered more than once before is recovered alone: it may be what ends processes, and
        must not take others with it each time.
        """

    async def commit_decisions(self, fence: FencingToken, decisions: Sequence[DecisionCommit]) -> CommitReply:
        """Write each decision (permit, reservation, audit record, acknowledgement) whole or not at all.

        Raises StoreUnavailableError where Redis may be another run than `redis_run` compared last.
        """

    async def open_permits(self, symbols: Sequence[str]) -> dict[str, SymbolState]:
        """Return the open permits and their version, of those of `symbols` that have any.

        The other fields of each state are empty. Expired permits may be included, unreadable ones are not.
        """

    async def unread_result(self, after: str) -> EntryId | None:
        """Return the id of the first entry of `apply.result` behind `after`, None where there is none yet."""

    async def redis_run(self, known_run_id: str | None) -> RedisRun:
        """Compare Redis's run with the one that is stored there and with `known_run_id`.

        The answer has the time, too, at which the number of evicted keys was last seen to grow.
        """


class ResultStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the ledger writer."""

    @property
    def results(self) -> ConsumerGroup:
        """The group of `apply.result`.

        A new one begins behind the last booked result; if that is not known, now, or if `lost` at the start.
        Results are recovered together, however often they were delivered: some wait for an operator.
        """

    async def booking_state(
        self, symbol: Symbol, plan_id: PlanId, order_ids: Sequence[OrderId]
    ) -> BookingState:
        """Return the state from which a result's booking is computed."""

    async def booking_states(self, wanted: Sequence[BookingKeys]) -> list[BookingState | None]:
        """Return up to 64 of one moment of Redis; None where `booking_state` raises StoreRefusedError."""

    async def commit_result(self, fence: FencingToken, commit: ResultCommit) -> int | None:
        """Book one; return Redis's clock (ms), or None, with nothing written, when the state has changed."""

    async def commit_results(self, fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        """Book results in order, each whole or not at all; None also where StoreRefusedError was raised.

        Up to 64 are one step of Redis. When it raises, the first steps may have been taken.
        """

    async def unknown_outcomes(self) -> UnknownOutcomes:
        """Return the plans whose order may have been filled; ended ones may be included."""

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return `last_known_amt` of the ledgers that exist."""

    async def adopt_ledgers(
        self, fence: FencingToken, adoptions: Sequence[Adoption], ttl_ms: int
    ) -> list[str]:
        """Create the ledgers that are still missing, and return their symbols."""

    async def emit_event(self, fence: FencingToken, fields: Sequence[str]) -> None:
        """Append a reconcile event (flat names and values)."""

    async def renew_ledgers(self, fence: FencingToken, symbols: Sequence[str], ttl_ms: int) -> None:
        """Expire ledgers in `ttl_ms`; copy an amount corrected by hand to the fields that P3.4 reads."""


class SnapshotStore(AddressedStore, Protocol):
    """Store of the snapshot fetchers."""

    async def write_snapshots(self, fence: FencingToken, snapshots: Sequence[SnapshotWrite]) -> None:
        """Replace snapshot hashes whole."""

    async def prove_snapshots(
        self,
        fence: FencingToken,
        written_ms: Mapping[str, int],
        *,
        times: Mapping[str, str],
        verified_by: str,
        ttl_sec: int,
        marks: Mapping[str, MarkWrite],
    ) -> list[str]:
        """Set the `ts_…` fields, given as `times`, of snapshots that still are as last written.

        `written_ms`: by symbol, the `ts_epoch_ms` that the hash must have. `marks`: by symbol, the mark price
        to set as well. The hash's life is renewed once in a minute of its times. Returns the symbols whose
        hash has another time: Redis may have lost the latest write, and the proof does not hold for the older
        one.
        """

    async def write_marks(self, fence: FencingToken, marks: Sequence[MarkWrite]) -> None:
        """Set the fields that follow the mark price, in the snapshots that exist."""


class UniverseStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the candidate planner."""

    async def universe(self) -> UniverseKeys:
        """Return the raw universe keys."""

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        """Return the newest `count` intents above `after` and below `before` (ids), newest first."""

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return `last_known_amt` of the ledgers that exist."""


class UniversePublisherStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the universe publisher. `shadow`: the keys that no other service reads."""

    async def published_universe(self, *, shadow: bool) -> PublishedUniverse:
        """Return what was published last, all of one moment."""

    async def publish_universe(
        self, fence: FencingToken, write: UniverseWrite, *, rests_on: bytes | None, shadow: bool
    ) -> bool:
        """Write all of it in one step, or nothing; False where `last_ok` is not `rests_on` any more."""


class LeaseStore(AddressedStore, Protocol):
    """Store of the lease holder."""

    async def hold_lease(
        self, instance: str, fence: FencingToken | None, ttl_ms: int, *, process: str = ""
    ) -> LeaseReply:
        """Renew the lease named by `fence`, or take it if it is free or this process's own.

        `process` is unique to a process, and contains no colon. A process without a `fence` (it has never
        held the lease) takes it from any other process of `instance`, too: after a restart it does not wait
        for its predecessor's lease to expire.
        """

    async def release_lease(self, fence: FencingToken) -> None:
        """Delete the lease, if `fence` still owns it."""


class BanStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the ban keeper: a ban by the exchange outlives a restart."""

    async def remember_ban(self, until_ms: int) -> None:
        """Store `until_ms` (Redis's clock) until it has passed."""

    async def remembered_ban(self) -> int | None:
        """Return the end of the stored ban (Redis's clock, ms), None if there is none."""


class DiagnosticsStore(DeskStore, Protocol):
    """Store of the status page and of explanations, read on demand."""

    async def holds_and_cooldowns(self, symbols: Sequence[str], booked: Sequence[str]) -> HoldsAndCooldowns:
        """Return holds and cooldown keys of `symbols`, and last order times of `booked`."""

    async def durability(self) -> Durability:
        """Return Redis's persistence settings: at-most-once permits need acknowledged writes to be kept."""

    async def seen_notices(self) -> dict[str, SeenMark]:
        """Return the marks of seen notices that are not over, by `kind|subject`; 1000 at most."""

    async def permit_traces(self, plan_id: PlanId, symbol: Symbol | None) -> PermitTraces:
        """Return permit, consumption and reservation of a plan."""


class Store(
    PlanStore,
    ResultStore,
    SnapshotStore,
    UniverseStore,
    UniversePublisherStore,
    LeaseStore,
    BanStore,
    DiagnosticsStore,
    Protocol,
):
    """All protocols of the store."""
