"""Plans: what the pipeline asks permission for."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.positions.position import Leg


class PlanDecision(StrEnum):
    """The values of a plan's `decision` field that want a permit; all others are acknowledged and counted."""

    EXECUTE = "EXECUTE"
    RECONCILE_CLOSE = "RECONCILE_CLOSE"


class Side(StrEnum):
    """A plan's `side`: an order side, or `CLOSE` from the harvest path."""

    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"


class Plan(msgspec.Struct, frozen=True):
    """A well-formed plan that wants a permit.

    `quantity` is None when the plan gives none (`0` or empty); it comes from `qty` or `close_qty`.
    `reduce_only` is None when missing. `timestamp_sec` is the publisher's clock, None when not given.
    """

    plan_id: str
    symbol: str
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
    """A plan whose `decision` asks for nothing (`SKIP`, `BLOCKED`, `HOLD`, ...)."""

    plan_id: str
    decision: str


class MalformedPlan(msgspec.Struct, frozen=True):
    """A plan that can be answered but not read: a deny with `malformed_plan`.

    `symbol` is None when that is what cannot be read. `problems` maps each bad field to what is wrong.
    """

    plan_id: str
    symbol: str | None
    problems: dict[str, str]


class UnanswerablePlan(msgspec.Struct, frozen=True):
    """A plan without a usable `plan_id`: nobody can wait for its permit; a dead letter with `error`."""

    error: str
