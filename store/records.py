"""Records that the store takes and returns. Times are Redis's clock (epoch ms) unless named otherwise.

Arguments of scripts are sent as msgpack. Redis's decoder has text but no binary type: arbitrary bytes are
escaped to text first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger


def id_order(entry_id: str) -> tuple[int, int]:
    """Split an entry id into its sort key: milliseconds, and a number within them."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number)


class Entry(msgspec.Struct, frozen=True):
    """Stream entry, delivered for the `deliveries`-th time (1: new).

    `fields` is None when the entry was trimmed or deleted while it was pending. `published_ms` is its time of
    publication, determined by `store.entry_times`; None while unknown.
    """

    id: EntryId
    fields: Mapping[bytes, bytes] | None
    deliveries: int = 1
    published_ms: int | None = None

    @property
    def id_ms(self) -> int:
        """Time in the entry's id: of its arrival at Redis, unless ids are ahead of Redis's clock."""
        return int(self.id.split("-", 1)[0])


class SymbolState(msgspec.Struct, frozen=True):
    """Stored state of a symbol that decisions depend on: raw text.

    `permits` are the open permits that have not expired, by plan id; every change of them changes
    `permits_version`.
    """

    hold: bool = False
    cooldown: str | None = None
    ledger: StoredLedger = StoredLedger()
    permits_version: str | None = None
    permits: tuple[tuple[PlanId, str], ...] = ()
    settled: bool = False


class Assumed(msgspec.Struct, frozen=True, array_like=True):
    """State that a decision was computed from; the commit compares it with the stored state."""

    hold: bool
    cooldown: str | None
    last_known_amt: str | None
    last_order_id: str | None
    last_order_time_epoch: str | None
    long_amt: str | None
    short_amt: str | None
    permits_version: str | None
    live_permits: int
    settled: bool


class DecisionCommit(msgspec.Struct, frozen=True, array_like=True):
    """Decision to be written, whole or not at all.

    `assumed` is None for an answer that depends on the plan alone. `deadline_ms` is the last moment at which
    it may be written (0: any), `not_before_ms` the first: if Redis's clock shows less, it was set back since.
    `reservation` is empty or `leg|kind|order_side|quantity`; it lives for `reservation_life_ms`.
    `dead_fields`, flat names and values, go to the dead-letter stream if not empty. `proposal` is
    unique among the commits for one entry: when an entry is decided again, no commit that depends on the new
    reservation may be written on top of the old one.
    """

    entry_id: EntryId
    plan_id: PlanId
    symbol: Symbol
    assumed: Assumed | None
    deadline_ms: int
    mark: str
    mark_ttl_ms: int
    permit: str
    permit_ttl_ms: int
    reservation: str
    reservation_life_ms: int
    audit_fields: tuple[str, ...]
    dead_fields: tuple[str, ...] = ()
    proposal: str = ""
    not_before_ms: int = 0

    @property
    def permits_version(self) -> str:
        """Version of the symbol's open permits after this reservation is added."""
        return f"d{self.entry_id}{self.proposal}"


class Committed(msgspec.Struct, frozen=True):
    """Decision was written; its reservation, if any, expires at `reservation_expires_ms`."""

    reservation_expires_ms: int


class AlreadyDecided(msgspec.Struct, frozen=True):
    """Plan was decided before, in another delivery; the entry is acknowledged."""


class TooLate(msgspec.Struct, frozen=True):
    """Commit came before `not_before_ms` or after `deadline_ms`; nothing was written."""


class Changed(msgspec.Struct, frozen=True):
    """State differs from the assumed one; nothing was written. `state` is the stored state."""

    state: SymbolState


class Broken(msgspec.Struct, frozen=True):
    """Key of this service has a wrong type; nothing was written."""

    error: str


Verdict = Committed | AlreadyDecided | TooLate | Changed | Broken


class CommitReply(msgspec.Struct, frozen=True):
    """Verdicts, one for each decision, in order, and Redis's clock at the commit."""

    now_ms: int
    verdicts: tuple[Verdict, ...]


class BookingKeys(NamedTuple):
    """Keys of a result's booking: symbol, plan and orders."""

    symbol: Symbol
    plan_id: PlanId
    order_ids: tuple[OrderId, ...]


class BookingState(msgspec.Struct, frozen=True):
    """State that a result's booking is computed from: raw text, None where nothing is stored."""

    ledger: StoredLedger
    version: str | None
    orders: Mapping[OrderId, str]
    permit: str | None
    plan_mark: str | None
    adopted_exchange_ms: str | None = None
    adopted_at_ms: str | None = None


class OrderWrite(msgspec.Struct, frozen=True, array_like=True):
    """Order memory: `before` as read (None: none), `after` to be stored."""

    order_id: OrderId
    before: str | None
    after: str


class ResultCommit(msgspec.Struct, frozen=True, array_like=True):
    """A result's booking, whole or not at all: ledger, order memory, open permit, mark, acknowledgement.

    `ledger_fields` is empty when the ledger stays as it is. `permit_after` is None to leave the open permit
    alone, empty to end it. `revoke_permit` deletes the permit key too; with `only_if_unconsumed` the open
    permit ends only if that key still existed. `mark_after`, when not empty, is stored as the plan's mark.
    `compare` false books nothing and needs no comparison (dead letters); the mark is then stored only where
    there is none. `unknown_after`, when not empty, is stored as the plan's unknown outcome unless there is
    one; empty ends that state, and so does the end of the open permit. With `acknowledge` false there is no
    result entry behind the booking (`entry_id` only sets it apart from others): an event of the exchange is
    booked. `named`: orders of a dead letter, remembered with nothing booked unless they are known; left out
    where the symbol's order memory has a wrong type.
    """

    entry_id: EntryId
    plan_id: PlanId
    symbol: Symbol
    compare: bool
    before_amounts: tuple[str | None, str | None, str | None]
    before_version: str | None
    ledger_fields: tuple[str, ...]
    ledger_ttl_ms: int
    orders: tuple[OrderWrite, ...]
    permit_before: str | None
    permit_after: str | None
    revoke_permit: bool
    mark_before: str | None
    mark_after: str
    mark_ttl_ms: int
    dead_fields: tuple[str, ...] = ()
    event_fields: tuple[str, ...] = ()
    only_if_unconsumed: bool = False
    unknown_after: str | None = None
    acknowledge: bool = True
    named: tuple[OrderWrite, ...] = ()


class UnknownOutcomes(msgspec.Struct, frozen=True):
    """Plans whose order may have been filled, as stored by plan id, and Redis's clock at the read."""

    now_ms: int
    stored: tuple[tuple[PlanId, str], ...]


class Adoption(msgspec.Struct, frozen=True, array_like=True):
    """Ledger to be created for a symbol without one, with the event that reports it (may be empty)."""

    symbol: str
    ledger_fields: tuple[str, ...]
    event_fields: tuple[str, ...]


class SnapshotWrite(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Snapshot hash to be replaced whole: flat field names and values."""

    symbol: str
    ttl_sec: int
    fields: tuple[str, ...]


class MarkWrite(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Fields of a snapshot hash that follow the mark price, as text; an empty profit is unknown."""

    symbol: str
    mark_price: str
    unrealized_pnl: str
    mark_ts_epoch_ms: str


class RedisRun(msgspec.Struct, frozen=True):
    """Run of Redis (`run_id` of INFO), and the time at which it was first seen or found emptied.

    `changed_ms` is 0 when no other run was known before: the first start on a new Redis. `evicted_ms` is the
    time at which its number of evicted keys was last seen to grow, 0 if never.
    """

    run_id: str
    changed_ms: int
    now_ms: int
    evicted_ms: int = 0


class LeaseReply(msgspec.Struct, frozen=True):
    """Lease ownership: `held` by the caller or not, the `fence` that every write carries, and the holder.

    `holder` is an instance, `process` a process of it, empty if unknown. `replaced` is the lease that this
    call took over before it had expired, empty if there was none. `unbroken`: the lease is a new one, and no
    other was given since the caller's own ended or was evicted.
    """

    held: bool
    fence: FencingToken
    holder: str
    process: str = ""
    replaced: str = ""
    unbroken: bool = False


class Hold(msgspec.Struct, frozen=True):
    """Active reconcile hold. `expires_in_ms` is None for one without expiry."""

    symbol: str
    expires_in_ms: int | None


class LastExecution(msgspec.Struct, frozen=True):
    """The two sources of a symbol's cooldown, as stored: the cooldown key and the ledger.

    A decision rests on the same two, read in the same way (`SymbolState`).
    """

    symbol: str
    cooldown: str | None
    ledger: StoredLedger = StoredLedger()


class HoldsAndCooldowns(msgspec.Struct, frozen=True):
    """Holds, and the times from which cooldowns count, with Redis's clock at the read.

    `hold_kinds` and `cooldown_kinds`: type by symbol, of keys of a wrong type. Such a key counts as a hold,
    or as an unreadable cooldown.
    """

    now_ms: int
    holds: tuple[Hold, ...]
    executions: tuple[LastExecution, ...]
    hold_kinds: Mapping[str, str] = {}
    cooldown_kinds: Mapping[str, str] = {}


class PermitTraces(msgspec.Struct, frozen=True):
    """Permit, consumption and reservation of a plan, with Redis's clock at the read.

    `permit` is its text while it exists, `ttl_ms` None where it never expires; `consumed_by` is the consumer
    that `permit_gate` recorded; `reservation`, as stored, is the quantity that it still reserves; `unknown`,
    as stored, has the time since which the outcome of its order is unknown.
    """

    now_ms: int
    permit: bytes | None
    ttl_ms: int | None
    consumed_by: str | None
    reservation: str | None
    unknown: str | None = None
