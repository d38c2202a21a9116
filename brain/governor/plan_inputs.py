"""Inputs of a judgement that come from the plan: its scores, and its order at the present position."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import NamedTuple

from brain.identifiers import UnreadableFieldError, field_text, lenient_text
from brain.numbers import EXACT, ZERO
from brain.plans.kinds import closes_by_name, is_closing, percent_of, row_for
from brain.plans.permit import Kind
from brain.plans.plan import Plan
from brain.plans.plan_fields import number_of
from brain.positions.position import Leg, LegPosition

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII
)
_TRUE = frozenset({"true", "1"})
_HUNDRED = Decimal(100)
#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_BOTH, _CLOSE = Leg.BOTH, Kind.CLOSE


class Score(NamedTuple):
    """A number from 0 to 1 in a plan; None where it is missing or, with a `problem`, unreadable."""

    value: float | None
    problem: str = ""


class PlannedOrder(NamedTuple):
    """A plan's order: its kind, whether that is known from the position, its leg and quantity (contracts).

    `leg` is None in hedge mode where the plan names none. `quantity` is 0 while unknown.
    """

    kind: Kind
    kind_known: bool
    leg: Leg | None
    quantity: Decimal


def read_kill_score(fields: Mapping[bytes, bytes]) -> Score:
    """Read `kill_score` of any entry of `apply.plan`. Never raises."""
    return read_score(fields, b"kill_score")


def read_score(fields: Mapping[bytes, bytes], name: bytes) -> Score:
    """Read a number from 0 to 1, such as `kill_score` or `confidence`. Never raises."""
    try:
        text = field_text(fields, name)
    except UnreadableFieldError as error:
        return Score(None, str(error))
    if text is None:
        return Score(None)
    value = float(text) if _NUMBER.fullmatch(text) else -1.0
    if 0.0 <= value <= 1.0:
        return Score(value + 0.0)  # never -0.0
    return Score(None, f"not a number from 0 to 1: {_shown(text)}")


def read_leverage(fields: Mapping[bytes, bytes]) -> Decimal | None:
    """Read `leverage` as plans are read; None where it is missing or, in a malformed plan, unreadable."""
    text = lenient_text(fields, b"leverage")
    number = None if text is None else number_of(text)
    return None if number is None else Decimal(repr(number))


def observed_as(fields: Mapping[bytes, bytes]) -> str:
    """Return the evaluation type, `entry` or `exit`, of a plan that is not judged, by its own fields."""
    closing = (
        (lenient_text(fields, b"reduceOnly") or "").lower() in _TRUE
        or lenient_text(fields, b"decision") == "RECONCILE_CLOSE"
        or (lenient_text(fields, b"side") or "").upper() == "CLOSE"
        or is_closing(lenient_text(fields, b"action") or "")
    )
    return "exit" if closing else "entry"


def planned_order(
    plan: Plan, legs: Sequence[LegPosition] | None, *, hedge_mode: bool | None = False
) -> PlannedOrder:
    """Return the order of a plan, given its symbol's fresh position; `legs` is None while there is none.

    A kind that the position does not give is taken from the plan's name. `hedge_mode` is None while unknown.
    """
    by_name = _kind_by_name(plan)
    hedged = hedge_mode is True
    for row in legs or ():
        hedged = hedged or row.leg is not _BOTH
    leg = (None if plan.leg is _BOTH else plan.leg) if hedged else _BOTH
    quantity = plan.quantity or ZERO
    if legs is None or leg is None:
        return PlannedOrder(by_name, False, leg, quantity)
    amount = ZERO
    for row in legs:
        if row.leg is leg:
            amount = row.amount
            break
    outcome = row_for(plan, leg, amount).outcome
    if plan.quantity is None and by_name is _CLOSE:
        with localcontext(EXACT):
            quantity = amount.copy_abs() * (percent_of(plan.action) or 0) / _HUNDRED
    if isinstance(outcome, Kind):
        return PlannedOrder(outcome, True, leg, quantity)
    return PlannedOrder(by_name, False, leg, quantity)


def _kind_by_name(plan: Plan) -> Kind:
    if plan.action == "UPDATE_SL":
        return Kind.NONE
    return Kind.CLOSE if closes_by_name(plan) else Kind.OPEN


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:40])
