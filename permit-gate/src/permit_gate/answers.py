"""What a gate answers: granted, with all that the permits say, or refused, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from permit_gate.sources import PermitSource


class _Word(str, Enum):
    """What StrEnum is from Python 3.11 on."""

    def __str__(self) -> str:
        return str(self.value)


class Kind(_Word):
    """What the Position State Brain found the plan to ask for."""

    OPEN = "open"
    ADD = "add"
    CLOSE = "close"
    NONE = "none"


class Refusal(_Word):
    """Why the gate stays shut."""

    PERMIT_TIMEOUT = "permit_timeout"
    PERMIT_DENIED = "permit_denied"
    PERMIT_UNREADABLE = "permit_unreadable"
    PERMIT_FOR_ANOTHER_PLAN = "permit_for_another_plan"
    PERMIT_FOR_ANOTHER_SYMBOL = "permit_for_another_symbol"
    PERMIT_TOO_OLD = "permit_too_old"
    PERMIT_FROM_THE_FUTURE = "permit_from_the_future"
    PERMIT_ALREADY_CONSUMED = "permit_already_consumed"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_WRONG = "signature_wrong"
    RECONCILE_HOLD_ACTIVE = "reconcile_hold_active"
    PLAN_ID_UNUSABLE = "plan_id_unusable"
    REDIS_ERROR = "redis_error"


@dataclass(frozen=True)
class Terms:
    """What the Position State Brain's permit allows.

    `safe_quantity` is in contracts: on a close, what may be closed; 0 on an open or add, where the plan's own
    quantity holds; 0 on `none` (a stop loss update), where nothing may be executed. `order_side` is `BUY` or
    `SELL`, `leg` `BOTH`, `LONG` or `SHORT`, `position_side` `LONG`, `SHORT` or `FLAT`: None where the permit
    does not tell. `plan_quantity` is what the plan asked for when it was decided, None where the permit does
    not tell. `created_at_sec` is the issuer's wall clock.
    """

    kind: Kind
    safe_quantity: Decimal
    reason: str
    order_side: str | None
    leg: str | None
    position_side: str | None
    plan_quantity: Decimal | None
    created_at_sec: Decimal
    issued_by: str | None

    def order_quantity(self, plan_quantity: Decimal) -> Decimal:
        """How much to order, in contracts: `plan_quantity` counts on an open or add only.

        And never more than was decided on: the same plan id published again with a larger quantity finds
        the permit of the smaller one.
        """
        if self.kind not in (Kind.OPEN, Kind.ADD):
            return self.safe_quantity
        return plan_quantity if self.plan_quantity is None else min(plan_quantity, self.plan_quantity)


@dataclass(frozen=True)
class Permit:
    """One permit that said yes: all its members, numbers as Decimal."""

    source: PermitSource
    members: Mapping[str, object]


@dataclass(frozen=True)
class Granted:
    """All permits said yes and are consumed: nobody else will get them.

    `permits` stand in the order in which they were asked for. `terms` is None when P33 was not among them.
    """

    plan_id: str
    symbol: str
    permits: tuple[Permit, ...]
    terms: Terms | None


@dataclass(frozen=True)
class Refused:
    """Nothing was consumed, or nothing is known to have been: do not execute.

    `missing` names the services whose permits were not there. `denied_by` names the service whose permit said
    no, or cannot be used; `because` is its reason, or what is wrong with it.
    """

    plan_id: str
    symbol: str
    reason: Refusal
    missing: tuple[str, ...] = ()
    denied_by: str | None = None
    because: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """`permit_timeout (missing: Governor)`, `permit_denied (P3.3: stale_exchange_state)`."""
        if self.missing:
            what = f"missing: {', '.join(self.missing)}"
        else:
            what = ": ".join(part for part in (self.denied_by, self.because) if part)
        return f"{self.reason} ({what})" if what else str(self.reason)
