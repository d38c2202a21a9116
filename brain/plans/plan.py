"""Plans: orders for which the pipeline requests a permit."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import PlanId, Symbol
from brain.positions.position import Leg

#: Begins the plan id of each RECONCILE_CLOSE that the reconcile engine proposes.
RECONCILE_CLOSE_PLAN = "reconclose:"


class PlanDecision(StrEnum):
    """Values of a plan's `decision` field that need a permit; all others are acknowledged and counted."""

    EXECUTE = "EXECUTE"
    RECONCILE_CLOSE = "RECONCILE_CLOSE"


class Side(StrEnum):
    """`side` of a plan: an order side, or `CLOSE` from the harvest path."""

    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"


class Plan(msgspec.Struct, frozen=True):
    """Well-formed plan that needs a permit.

    `quantity` is None when the plan gives none (`0` or empty); it comes from `qty` or `close_qty`.
    `reduce_only` is None when missing. `timestamp_sec` is the publisher's clock, None when not given.
    """

    plan_id: PlanId
    symbol: Symbol
    decision: PlanDecision
    action: str
    side: Side | None
    quantity: Decimal | None
    reduce_only: bool | None
    leg: Leg | None
    order_type: str
    source: str
    reason: str
    eval_type: str
    timestamp_sec: float | None


class SkippedPlan(msgspec.Struct, frozen=True):
    """Plan whose `decision` needs no permit (`SKIP`, `BLOCKED`, `HOLD`, ...)."""

    plan_id: PlanId
    decision: str


class MalformedPlan(msgspec.Struct, frozen=True):
    """Plan with a usable `plan_id` and unreadable fields: a deny with `malformed_plan`.

    `symbol` is None when it is unreadable itself. `problems` has the error of each bad field.
    """

    plan_id: PlanId
    symbol: Symbol | None
    problems: dict[str, str]


class UnanswerablePlan(msgspec.Struct, frozen=True):
    """Plan without a usable `plan_id`: no permit key exists for it; a dead letter with `error`."""

    error: str
