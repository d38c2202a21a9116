"""Decisions, permits and reservations."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec

from brain.identifiers import PlanId
from brain.numbers import ZERO
from brain.positions.position import Leg, PositionSide

#: Values with a lossless JSON form.
Details: TypeAlias = dict[str, Decimal | float | int | str | bool | None]


class Kind(StrEnum):
    """Kind of a plan at the present position."""

    OPEN = "open"
    ADD = "add"
    CLOSE = "close"
    NONE = "none"


class Reason(StrEnum):
    """Reason of an allow or deny, word for word as in docs/contract.md."""

    SANITY_CHECKS_PASSED = "sanity_checks_passed"
    OPEN_PERMIT_GRANTED = "open_permit_granted"
    RECONCILE_CLOSE_BYPASS = "reconcile_close_bypass"
    NO_QUANTITY_CHANGE = "no_quantity_change"
    MALFORMED_PLAN = "malformed_plan"
    PLAN_EXPIRED = "plan_expired"
    PLAN_ALREADY_SETTLED = "plan_already_settled"
    EVALUATION_FAILED = "evaluation_failed"
    RECOVERING = "recovering"
    STATE_CONTENDED = "state_contended"
    SYMBOL_NOT_ON_EXCHANGE = "symbol_not_on_exchange"
    SYMBOL_NOT_IN_ALLOWLIST = "symbol_not_in_allowlist"
    RECONCILE_HOLD_ACTIVE = "reconcile_hold_active"
    NO_EXCHANGE_SNAPSHOT = "no_exchange_snapshot"
    STALE_EXCHANGE_STATE = "stale_exchange_state"
    NO_POSITION = "no_position"
    REDUCE_ONLY_SIDE_MISMATCH = "reduce_only_side_mismatch"
    WOULD_FLIP_POSITION = "would_flip_position"
    RECONCILE_REQUIRED_SIDE_MISMATCH = "reconcile_required_side_mismatch"
    RECONCILE_REQUIRED_QTY_MISMATCH = "reconcile_required_qty_mismatch"
    COOLDOWN_IN_FLIGHT = "cooldown_in_flight"
    IN_FLIGHT_PERMIT = "in_flight_permit"
    BELOW_MIN_QTY = "below_min_qty"
    UNKNOWN_ACTION = "unknown_action"
    POSITION_SIDE_REQUIRED = "position_side_required"
    GUARDRAIL_VIOLATION = "guardrail_violation"


class OpenPermit(msgspec.Struct, frozen=True):
    """Granted quantity that is not settled yet, counted against its symbol and leg.

    `order_side` is `BUY` or `SELL`: the side of the permitted order. `remaining` is the quantity that the
    permit still covers (contracts). `expires_ms` is Redis's clock: the permit's TTL plus the grace.
    """

    plan_id: PlanId
    leg: Leg
    kind: Kind
    order_side: str
    remaining: Decimal
    expires_ms: int


def explained_by(permits: Iterable[OpenPermit], difference: Decimal) -> bool:
    """Return True if orders of one leg's open permits can have moved it by `difference` (not zero).

    Up to what they cover: an order that is still being filled has moved it by a part.
    """
    order_side = "BUY" if difference > 0 else "SELL"
    covered = sum((permit.remaining for permit in permits if permit.order_side == order_side), ZERO)
    return difference.copy_abs() <= covered


class Decision(msgspec.Struct, frozen=True):
    """Decision on one plan.

    `quantity` is the safe quantity in contracts that may be closed; 0 on an allowed open or add means the
    plan's own quantity, on `no_quantity_change` nothing. `reserve` is the quantity reserved on the leg (for
    an open or add, the plan's), 0 for a deny. `details` has the numbers that the deciding check compared, as
    JSON-ready values (exact decimals as `Decimal`); empty on an allow.

    A deny before the position was known has `kind` NONE, `leg` BOTH, and None for `order_side` (`BUY`,
    `SELL`) and `position_side` (direction of the leg). `warnings` are for the log: ignored inputs.
    """

    allow: bool
    reason: Reason
    kind: Kind
    leg: Leg
    order_side: str | None
    quantity: Decimal
    reserve: Decimal
    position_side: PositionSide | None
    details: Details
    warnings: tuple[str, ...] = ()
