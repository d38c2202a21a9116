"""Records of the reconcile engine's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.operator_records import Hold
from store.records import OrderWrite


class Agreement(NamedTuple):
    """Latest moment at which exchange and ledger were seen to agree (the exchange's clock, ms).

    `version`: the ledger's then. While the ledger has it, every trade since is a drift or part of one.
    `amounts`: the ledger's then, as `brain.reconciliation.agreed` writes them; empty for unknown. Both are
    later ones where bookings have been taken in since; `began`: the amounts at the moment itself.
    """

    symbol: Symbol
    at_ms: int
    version: str
    amounts: str = ""
    began: str = ""


class ExpectedLedger(NamedTuple):
    """Amounts as a ledger that agrees with the exchange stores them; None for legs in one-way mode."""

    symbol: Symbol
    amount: str
    long_amount: str | None
    short_amount: str | None


class ComparedLedgers(NamedTuple):
    """Symbols with another ledger than expected, and those of which an order may be in flight.

    An order may be while an open permit has not expired or cannot be read, and while the executor holds the
    symbol.
    """

    differing: Sequence[Symbol]
    in_flight: Sequence[Symbol]


class ReconcileView(NamedTuple):
    """A symbol as Redis holds it, all of one moment.

    `ledger` and `version` as stored; `unreadable` has the reason where one of the keys has a wrong type, or
    a field of the open permits is no plan id. `permits`: open permits as stored, by plan, expired ones
    included. `hold`: of any owner; without one where another service has written over it, so that its value
    is not `1` or it does not end with its owner. In the shadow a real hold stands before the shadow's own.
    `adopted_ms`: the adopted ledger contains every trade until then (the exchange's clock), `adopted_at_ms`:
    when it was adopted (Redis's clock); 0 for unknown.
    `agreed`: as noted last. `status`: of `reconcile:state`, empty for none. `others_sec`: when another
    reconcile engine wrote that state (epoch s, by its clock), None where this service did.
    """

    ledger: StoredLedger
    version: str | None
    permits: Mapping[PlanId, str]
    hold: Hold | None
    agreed: Agreement | None
    status: str
    unreadable: str | None = None
    adopted_ms: int = 0
    adopted_at_ms: int = 0
    others_sec: int | None = None


class HoldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a hold: `before` is its owner as seen, None where nothing holds the symbol.

    `sig` (`p34:…`) and `reason` of the hold afterwards, both empty: none. A hold of another is never lifted,
    and replaced only if it is an `exec:…` one whose record is final or an orphan's, which the step looks up.
    """

    before: str | None
    sig: str
    reason: str = ""
    ttl_ms: int = 0


class CaseChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a case: its hold, its state, its event; each may be empty.

    `state`: the fields of `reconcile:state:<symbol>` that change, flat names and values. `event`: flat names
    and values for `reconcile.events`.
    """

    symbol: Symbol
    hold: HoldChange | None = None
    state: Sequence[str] = ()
    event: Sequence[str] = ()


class LedgerRepair(msgspec.Struct, frozen=True, kw_only=True):
    """Fills to book that no result has reported, and all that this rests on.

    `before`, `before_version` and the `before` of each order's memory are compared with what is stored, and
    that of `hold` with the hold's owner, which has to be the engine's. `ledger_fields`: flat names and values
    of the whole hash, or those of a ledger that no order moves (empty). `events`: each flat, in their order.
    """

    symbol: Symbol
    before: StoredLedger
    before_version: str | None
    ledger_fields: Sequence[str]
    ledger_ttl_ms: int
    orders: Sequence[OrderWrite]
    hold: HoldChange
    state: Sequence[str]
    events: Sequence[Sequence[str]]


class CloseProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A `RECONCILE_CLOSE` to publish once: with a mark of `bucket` for `cooldown_sec`, or not at all.

    For that time no other close of the symbol is published, whatever its signature.
    `stream`: one of `ReconcileKeys`. `sig`: the owner that the hold must have; it then lives for
    `hold_ttl_ms`. `plan`: flat names and values. `plan_id` is remembered for a week by the `client_order_id`
    that the executor gives its order.
    """

    symbol: Symbol
    plan_id: PlanId
    stream: str
    bucket: int
    cooldown_sec: int
    sig: str
    hold_ttl_ms: int
    plan: Sequence[str]
    event: Sequence[str]
    client_order_id: ClientOrderId


class RecordedOrder(NamedTuple):
    """Phase of an executor's record and its plan's decision, as stored; `RECONCILE_CLOSE` moves no ledger.

    The phase is `lost` for an order of a proposed close that has no record (any more).
    """

    phase: str
    decision: str


class BookedGrowth(NamedTuple):
    """Order memory as stored, by order id, and the executor's records, by client order id.

    What does not exist is missing; what cannot be read is `stored_values.UNREADABLE`.
    """

    memories: Mapping[OrderId, str]
    records: Mapping[ClientOrderId, RecordedOrder]
