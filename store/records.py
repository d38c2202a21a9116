"""The records that go to the store and come back. Times are Redis's clock (epoch ms) unless a name tells.

What goes into a script goes as msgpack, and Redis's reader of it knows text but no binary type: arbitrary
bytes are written as text with escapes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from brain.ledger.ledger import StoredLedger


def id_order(entry_id: str) -> tuple[int, int]:
    """An entry id as what ids are ordered by: milliseconds, and a number within them."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number)


class Entry(msgspec.Struct, frozen=True):
    """A stream entry as delivered for the `deliveries`-th time (1: new).

    `fields` is None when the entry was trimmed or deleted while it was pending. `published_ms` is when it was
    published, as its reader has found out (`actors.stream_consumer`); None while that is not known.
    """

    id: str
    fields: Mapping[bytes, bytes] | None
    deliveries: int = 1
    published_ms: int | None = None

    @property
    def id_ms(self) -> int:
        """The time in the entry's id: when Redis took it in, unless ids are ahead of its clock."""
        return int(self.id.split("-", 1)[0])


class SymbolState(msgspec.Struct, frozen=True):
    """What Redis holds of a symbol, as far as decisions rest on it: raw text, as stored.

    `permits` are the open permits that have not expired, by plan id; `permits_version` changes with every
    change of them.
    """

    hold: bool = False
    cooldown: str | None = None
    ledger: StoredLedger = StoredLedger()
    permits_version: str | None = None
    permits: tuple[tuple[str, str], ...] = ()
    settled: bool = False


class Assumed(msgspec.Struct, frozen=True, array_like=True):
    """The state that a decision rests on: what the commit compares with what is stored then."""

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
    """A decision ready to be written, whole or not at all.

    `assumed` is None for an answer that rests on the plan alone. `deadline_ms` is the last moment at which
    it may be written (0: any), `not_before_ms` the first: if Redis's clock shows less, it was set back since.
    `reservation` is empty or `leg|kind|order_side|quantity`; it lives for `reservation_life_ms`.
    `dead_fields`, flat names and values, go to the dead-letter stream if not empty. `proposal` sets this
    commit apart from every other about the same entry: where an entry is decided anew, nothing that rests on
    the new reservation may be committed on top of the old one.
    """

    entry_id: str
    plan_id: str
    symbol: str
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
        """The version of the symbol's open permits once its reservation is among them."""
        return f"d{self.entry_id}{self.proposal}"


class Committed(msgspec.Struct, frozen=True):
    """The decision was written; its reservation, if any, expires at `reservation_expires_ms`."""

    reservation_expires_ms: int


class AlreadyDecided(msgspec.Struct, frozen=True):
    """Another delivery of this plan was decided before; the entry is acknowledged."""


class TooLate(msgspec.Struct, frozen=True):
    """The commit came outside of the time for which the decision was made; nothing was written."""


class Changed(msgspec.Struct, frozen=True):
    """The state is not what the decision assumed; nothing was written. `state` is what it is now."""

    state: SymbolState


class Broken(msgspec.Struct, frozen=True):
    """A key that this service owns has a wrong type; nothing was written."""

    error: str


Verdict = Committed | AlreadyDecided | TooLate | Changed | Broken


class CommitReply(msgspec.Struct, frozen=True):
    """A verdict for each decision, in order, and Redis's clock at the commit."""

    now_ms: int
    verdicts: tuple[Verdict, ...]


class BookingKeys(NamedTuple):
    """What the booking of a result is about."""

    symbol: str
    plan_id: str
    order_ids: tuple[str, ...]


class BookingState(msgspec.Struct, frozen=True):
    """What a result's booking rests on: raw text, as stored; None where nothing is stored."""

    ledger: StoredLedger
    version: str | None
    orders: Mapping[str, str]
    permit: str | None
    plan_mark: str | None
    adopted_exchange_ms: str | None = None
    adopted_at_ms: str | None = None


class OrderWrite(msgspec.Struct, frozen=True, array_like=True):
    """An order's memory: `before` as read (None: none), `after` to be stored."""

    order_id: str
    before: str | None
    after: str


class ResultCommit(msgspec.Struct, frozen=True, array_like=True):
    """A result's booking, whole or not at all: ledger, order memory, open permit, mark, acknowledgement.

    `ledger_fields` is empty when the ledger stays as it is. `permit_after` is None to leave the open permit
    alone, empty to end it. `revoke_permit` deletes the permit key too; with `only_if_unconsumed` the open
    permit ends only if that key was still there. `mark_after`, when not empty, is stored as the plan's mark.
    `compare` false books nothing and needs no comparison (dead letters); the mark is then stored only where
    there is none. `unknown_after`, when not empty, is stored as the plan's unknown outcome unless there is
    one; empty ends that state, and so does the end of the open permit. With `acknowledge` false there is no
    result entry behind the booking (`entry_id` only sets it apart from others): an event of the exchange is
    booked.
    """

    entry_id: str
    plan_id: str
    symbol: str
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


class UnknownOutcomes(msgspec.Struct, frozen=True):
    """The plans whose order may have been filled, as stored by plan id, and Redis's clock at the read."""

    now_ms: int
    stored: tuple[tuple[str, str], ...]


class Adoption(msgspec.Struct, frozen=True, array_like=True):
    """A ledger to be created for a symbol that has none, with the event that says so (may be empty)."""

    symbol: str
    ledger_fields: tuple[str, ...]
    event_fields: tuple[str, ...]


class SnapshotWrite(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot hash to be replaced whole: flat field names and values."""

    symbol: str
    ttl_sec: int
    fields: tuple[str, ...]


class MarkWrite(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a snapshot hash that follow the mark price, as text; an empty profit is unknown."""

    symbol: str
    mark_price: str
    unrealized_pnl: str
    mark_ts_epoch_ms: str


class RedisRun(msgspec.Struct, frozen=True):
    """Which run of Redis answers (`run_id` of INFO), and when this service first met it or found it emptied.

    `changed_ms` is 0 when no other run was known before: the first start on a new Redis. `evicted_ms` is when
    its number of evicted keys was last seen to have grown, 0 if never.
    """

    run_id: str
    changed_ms: int
    now_ms: int
    evicted_ms: int = 0


class UniverseKeys(msgspec.Struct, frozen=True):
    """The raw values of the universe keys; None where missing or of a wrong type."""

    active: bytes | None
    meta: Mapping[bytes, bytes] | None
    last_ok: bytes | None


class LeaseReply(msgspec.Struct, frozen=True):
    """Whether the lease is ours (then `fence` goes with every write), and whose it is.

    `holder` is an instance, `process` which process of it, empty if that is not known. `replaced` is the
    lease that this call took over before it had expired, empty if there was none. `unbroken`: the lease is a
    new one, and no other was given out since that of the caller ended or was evicted.
    """

    held: bool
    fence: str
    holder: str
    process: str = ""
    replaced: str = ""
    unbroken: bool = False

    @classmethod
    def read(cls, lease: bytes, *, held: bool, replaced: bytes = b"", unbroken: bool = False) -> LeaseReply:
        """The reply about a lease as stored: `<token>@<process>:<instance>` or `<token>:<instance>`."""
        fence = lease.decode(errors="backslashreplace")
        owner, _, holder = fence.partition(":")
        before = replaced.decode(errors="backslashreplace")
        return cls(held, fence, holder, owner.partition("@")[2], before, unbroken)


class Hold(msgspec.Struct, frozen=True):
    """A reconcile hold that is on. `expires_in_ms` is None for one that never ends by itself."""

    symbol: str
    expires_in_ms: int | None


class LastExecution(msgspec.Struct, frozen=True):
    """What a symbol's cooldown counts from: the cooldown key, and the ledger's order time, as stored."""

    symbol: str
    cooldown: str | None
    last_order_time_epoch: str | None


class Restraints(msgspec.Struct, frozen=True):
    """What keeps symbols from being traded for a while, and Redis's clock when it was read.

    `hold_kinds` and `cooldown_kinds`: of keys of a wrong type, that type by symbol. They count as a hold, and
    as a cooldown that cannot be read.
    """

    now_ms: int
    holds: tuple[Hold, ...]
    executions: tuple[LastExecution, ...]
    hold_kinds: Mapping[str, str] = {}
    cooldown_kinds: Mapping[str, str] = {}


class PermitTraces(msgspec.Struct, frozen=True):
    """What has become of a plan's permit, and Redis's clock when it was read.

    `permit` is its text while it is there, `ttl_ms` None where it never expires; `consumed_by` is the
    consumer that `permit_gate` remembers; `reservation`, as stored, is what it still covers of the position;
    `unknown`, as stored, says since when the outcome of its order is unknown.
    """

    now_ms: int
    permit: bytes | None
    ttl_ms: int | None
    consumed_by: str | None
    reservation: str | None
    unknown: str | None = None
