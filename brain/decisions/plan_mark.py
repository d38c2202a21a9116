"""The mark that remembers what became of a plan, and how a result is joined to it.

The mark outlives the permit: it is how a plan is decided once, and how a result that does not tell its leg
or side finds them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from brain.ledger.result import FilledOrder
from brain.plans.permit import Kind
from brain.positions.position import Leg


class PlanMark(msgspec.Struct, frozen=True):
    """What was decided for a plan. `order_side` is `BUY`, `SELL` or None when the decision named none."""

    leg: Leg
    kind: Kind
    order_side: str | None
    reconcile_close: bool


class Settled(StrEnum):
    """The mark of a plan whose result came before its decision."""

    SETTLED = "S"


class Joined(msgspec.Struct, frozen=True):
    """An order whose leg and side are known. `moves_ledger` is False for orders of a `RECONCILE_CLOSE`."""

    leg: Leg
    order_side: str
    moves_ledger: bool


class Unjoined(msgspec.Struct, frozen=True):
    """An order that cannot be booked, because nothing tells its leg or side: a dead letter with `error`."""

    error: str


def encode_mark(mark: PlanMark | Settled) -> str:
    """The mark as stored: `D|LONG|close|SELL|0`, or `S`."""
    if isinstance(mark, Settled):
        return mark.value
    return "|".join(("D", mark.leg, mark.kind, mark.order_side or "", "1" if mark.reconcile_close else "0"))


def decode_mark(text: str | None) -> PlanMark | Settled | None:
    """The mark that `text` encodes; None for anything else."""
    if text == Settled.SETTLED:
        return Settled.SETTLED
    match (text or "").split("|"):
        case ["D", leg, kind, ("" | "BUY" | "SELL") as side, ("0" | "1") as reconcile]:
            try:
                return PlanMark(Leg(leg), Kind(kind), side or None, reconcile == "1")
            except ValueError:
                return None
        case _:
            return None


def join(order: FilledOrder, mark: PlanMark | Settled | None, *, hedge_mode: bool) -> Joined | Unjoined:
    """Find an order's leg and side.

    The side that the result tells is what was executed, so it goes before the mark's. In one-way mode an
    order that tells its side needs no mark; in hedge mode only the mark knows the leg.
    """
    decided = mark if isinstance(mark, PlanMark) else None
    side = order.side or (decided.order_side if decided else None)
    if side is None:
        return Unjoined(f"order {order.order_id}: no side, and no decision that tells it")
    moves_ledger = decided is None or not decided.reconcile_close
    if not hedge_mode:
        return Joined(Leg.BOTH, side, moves_ledger)
    if decided is None or decided.leg is Leg.BOTH:
        return Unjoined(f"order {order.order_id}: hedge mode, and no decision that tells its leg")
    return Joined(decided.leg, side, moves_ledger)
