"""Answers of a gate: granted, with the permits, or refused, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from permit_gate.sources import PermitSource


class _Word(str, Enum):
    """StrEnum, which Python has from 3.11 on."""

    def __str__(self) -> str:
        return str(self.value)


class Kind(_Word):
    """Kind of the plan at the time of the decision."""

    OPEN = "open"
    ADD = "add"
    CLOSE = "close"
    NONE = "none"


class Refusal(_Word):
    """Reason of a refusal."""

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
    """Terms of the Position State Brain's permit.

    `safe_quantity` is in contracts: the most that a close may close; 0 on an open or add, which may use the
    plan's own quantity; 0 on `none` (a stop loss update), where nothing may be executed. `order_side` is
    `BUY` or `SELL`, `leg` `BOTH`, `LONG` or `SHORT`, `position_side` `LONG`, `SHORT` or `FLAT`.
    `plan_quantity` is the plan's quantity at the decision. Each is None where the permit does not have it.
    `created_at_sec` is the issuer's wall clock.
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
        """Return the quantity to order, in contracts: `plan_quantity` counts on an open or add only.

        It is never larger than the quantity at the decision: the same plan id, published again with a larger
        quantity, has the permit of the smaller one.
        """
        if self.kind not in (Kind.OPEN, Kind.ADD):
            return self.safe_quantity
        return plan_quantity if self.plan_quantity is None else min(plan_quantity, self.plan_quantity)


@dataclass(frozen=True)
class Permit:
    """Granting permit: all its members, numbers as Decimal."""

    source: PermitSource
    members: Mapping[str, object]


@dataclass(frozen=True)
class Granted:
    """All permits granted and consumed: no other consumer gets them.

    `permits` are in the order of the sources. `terms` is None when P33 was not among them.
    """

    plan_id: str
    symbol: str
    permits: tuple[Permit, ...]
    terms: Terms | None


@dataclass(frozen=True)
class Refused:
    """Nothing was consumed, or that is unknown: do not execute.

    `missing` names services without a permit. `denied_by` names the service whose permit denies, or cannot
    be used; `because` is its reason, or the permit's fault.
    """

    plan_id: str
    symbol: str
    reason: Refusal
    missing: tuple[str, ...] = ()
    denied_by: str | None = None
    because: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return for example `permit_timeout (missing: Governor)`, `permit_denied (P3.3: no_position)`."""
        if self.missing:
            what = f"missing: {', '.join(self.missing)}"
        else:
            what = ": ".join(part for part in (self.denied_by, self.because) if part)
        return f"{self.reason} ({what})" if what else str(self.reason)
