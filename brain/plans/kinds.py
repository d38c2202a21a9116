"""Kinds of plans: the kind table of docs/contract.md (Plans), row by row.

The table is data, unfolded once, at import, into a lookup with one answer for every combination. Nothing else
decides about kinds. Rules where the table leaves a choice:

* A closing action without side means `CLOSE`: the harvest path sometimes leaves it out. Without a closing
  action, a missing side is malformed.
* A closing action without `reduceOnly` is treated as `reduceOnly=true`: along the position it is a
  `reduce_only_side_mismatch`, never an add.
* `ENTRY_PROPOSED` with `reduceOnly=true` contradicts itself.
* In hedge mode the leg determines the side that reduces it, also when it is flat (`SELL` for LONG, `BUY` for
  SHORT), and Binance forbids `reduceOnly` there: an order that reduces a flat leg closes nothing, and opens
  nothing.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Flag, auto
from functools import lru_cache
from itertools import product
from typing import NamedTuple, TypeAlias

from brain.numbers import ZERO
from brain.plans.permit import Kind, Reason
from brain.plans.plan import Plan, PlanDecision, Side
from brain.positions.position import Leg

_CLOSING_PREFIXES = ("FULL", "CLOSE", "PARTIAL")


class _Column(Flag):
    """Column of the table: a member for each entry; a row has a set of them."""

    __hash__ = object.__hash__  # members are unique, Enum's own hash is slow, and a decision looks up twice


class Action(_Column):
    """Meaning of an action's name."""

    CLOSING = auto()
    ENTRY = auto()
    ABSENT = auto()
    UNKNOWN = auto()
    UPDATE_SL = auto()


class ReduceOnly(_Column):
    """`reduceOnly` of the plan."""

    TRUE = auto()
    FALSE = auto()
    MISSING = auto()
    ANY = TRUE | FALSE | MISSING


class Quantity(_Column):
    """Presence of a quantity above zero in the plan."""

    GIVEN = auto()
    NONE = auto()
    ANY = GIVEN | NONE


class Towards(_Column):
    """Direction of the plan's `side` relative to the position; AWAY on a flat one-way position."""

    REDUCING = auto()
    ALONG = auto()
    CLOSE = auto()
    NO_SIDE = auto()
    NO_ORDER = CLOSE | NO_SIDE
    ANY = REDUCING | ALONG | CLOSE | NO_SIDE


class Position(_Column):
    """Position relative to the plan's quantity: it covers a missing quantity."""

    FLAT = auto()
    COVERS = auto()
    SMALLER = auto()
    NON_ZERO = COVERS | SMALLER
    ANY = FLAT | COVERS | SMALLER


Outcome: TypeAlias = Kind | Reason


class Row(NamedTuple):
    """Row: its combinations, and their kind or reason; for a malformed plan, the field at fault."""

    action: Action
    reduce_only: ReduceOnly
    quantity: Quantity
    towards: Towards
    position: Position
    outcome: Outcome
    field: str = ""
    problem: str = ""


A, R, Q, T, P = Action, ReduceOnly, Quantity, Towards, Position
_MALFORMED = Reason.MALFORMED_PLAN
_MISMATCH = Reason.REDUCE_ONLY_SIDE_MISMATCH

# fmt: off
TABLE: tuple[Row, ...] = (
    Row(A.CLOSING, R.TRUE | R.MISSING, Q.ANY, T.NO_ORDER | T.REDUCING, P.ANY, Kind.CLOSE),
    Row(A.CLOSING, R.TRUE | R.MISSING, Q.ANY, T.ALONG, P.FLAT, Kind.CLOSE),
    Row(A.CLOSING, R.TRUE | R.MISSING, Q.ANY, T.ALONG, P.NON_ZERO, _MISMATCH),
    Row(A.CLOSING, R.FALSE, Q.ANY, T.ANY, P.ANY, _MALFORMED, "reduceOnly", "false contradicts the action"),

    Row(A.ENTRY | A.ABSENT, R.FALSE, Q.GIVEN, T.ALONG, P.FLAT, Kind.OPEN),
    Row(A.ENTRY | A.ABSENT, R.FALSE, Q.GIVEN, T.ALONG, P.NON_ZERO, Kind.ADD),
    Row(A.ENTRY | A.ABSENT, R.FALSE, Q.GIVEN, T.REDUCING, P.COVERS | P.FLAT, Kind.CLOSE),
    Row(A.ENTRY | A.ABSENT, R.FALSE, Q.GIVEN, T.REDUCING, P.SMALLER, Reason.WOULD_FLIP_POSITION),
    Row(A.ENTRY | A.ABSENT, R.FALSE, Q.GIVEN, T.NO_ORDER, P.ANY, _MALFORMED, "side", "neither BUY nor SELL"),
    Row(A.ENTRY | A.ABSENT, R.FALSE, Q.NONE, T.ANY, P.ANY, _MALFORMED, "qty", "missing"),
    Row(A.ENTRY | A.ABSENT, R.MISSING, Q.ANY, T.ANY, P.ANY, _MALFORMED, "reduceOnly", "missing"),
    Row(A.ENTRY, R.TRUE, Q.ANY, T.ANY, P.ANY, _MALFORMED, "reduceOnly", "true contradicts the action"),

    Row(A.ABSENT | A.UNKNOWN, R.TRUE, Q.GIVEN, T.REDUCING | T.CLOSE, P.ANY, Kind.CLOSE),
    Row(A.ABSENT | A.UNKNOWN, R.TRUE, Q.GIVEN, T.ALONG, P.FLAT, Kind.CLOSE),
    Row(A.ABSENT | A.UNKNOWN, R.TRUE, Q.GIVEN, T.ALONG, P.NON_ZERO, _MISMATCH),
    Row(A.ABSENT | A.UNKNOWN, R.TRUE, Q.GIVEN, T.NO_SIDE, P.ANY, _MALFORMED, "side", "missing"),
    Row(A.ABSENT | A.UNKNOWN, R.TRUE, Q.NONE, T.ANY, P.ANY, Reason.UNKNOWN_ACTION),
    Row(A.UNKNOWN, R.FALSE, Q.ANY, T.ANY, P.ANY, _MALFORMED, "action", "unknown"),
    Row(A.UNKNOWN, R.MISSING, Q.ANY, T.ANY, P.ANY, _MALFORMED, "action", "unknown"),

    Row(A.UPDATE_SL, R.ANY, Q.NONE, T.ANY, P.NON_ZERO, Kind.NONE),
    Row(A.UPDATE_SL, R.ANY, Q.NONE, T.ANY, P.FLAT, Reason.NO_POSITION),
    Row(A.UPDATE_SL, R.ANY, Q.GIVEN, T.ANY, P.ANY, _MALFORMED, "qty", "a stop loss update executes nothing"),
)
# fmt: on

_Known: TypeAlias = tuple[Action, ReduceOnly, Quantity]
_Combination: TypeAlias = tuple[Action, ReduceOnly, Quantity, Towards, Position]


def unfold(table: tuple[Row, ...]) -> dict[_Combination, Row]:
    """Return each combination's row. Raises ValueError for a combination with none, or with two."""
    unfolded: dict[_Combination, Row] = {}
    for row in table:
        for combination in product(row.action, row.reduce_only, row.quantity, row.towards, row.position):
            if combination in unfolded:
                raise ValueError(f"two rows for {combination}")
            unfolded[combination] = row
    for combination in product(Action, ReduceOnly, Quantity, Towards, Position):
        if combination not in unfolded:
            raise ValueError(f"no row for {combination}")
    return unfolded


_UNFOLDED = unfold(TABLE)
#: Directions that a side can have, over all positions.
_ANY_POSITION = {
    Side.BUY: ((T.ALONG, P.FLAT), (T.REDUCING, P.COVERS)),
    Side.SELL: ((T.ALONG, P.FLAT), (T.REDUCING, P.COVERS)),
    Side.CLOSE: ((T.CLOSE, P.COVERS),),
    None: ((T.NO_SIDE, P.COVERS),),
}


#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_LONG, _SHORT, _BOTH = Leg.LONG, Leg.SHORT, Leg.BOTH
_BUY, _SELL, _CLOSE = Side.BUY, Side.SELL, Side.CLOSE
_RECONCILE_CLOSE = PlanDecision.RECONCILE_CLOSE
_REDUCING, _ALONG, _BY_POSITION, _NO_SIDE = T.REDUCING, T.ALONG, T.CLOSE, T.NO_SIDE
_FLAT, _COVERS, _SMALLER = P.FLAT, P.COVERS, P.SMALLER


def reducing_side(leg: Leg, amount: Decimal) -> Side | None:
    """Return the order side that reduces the leg; None for a flat one-way position."""
    if leg is _LONG or (leg is _BOTH and amount > ZERO):
        return _SELL
    return _BUY if leg is _SHORT or amount < ZERO else None


def row_for(plan: Plan, leg: Leg, amount: Decimal) -> Row:
    """Return the table's row for a plan, given its leg's signed amount."""
    if plan.side is None:
        towards = _NO_SIDE
    elif plan.side is _CLOSE:
        towards = _BY_POSITION
    else:
        towards = _REDUCING if plan.side is reducing_side(leg, amount) else _ALONG
    if not amount:
        position = _FLAT
    else:
        covered = plan.quantity is None or plan.quantity <= amount.copy_abs()
        position = _COVERS if covered else _SMALLER
    return _UNFOLDED[(*_known(plan), towards, position)]


def contradiction(plan: Plan) -> Row | None:
    """Return the row of a plan that is malformed at any position; None for all others."""
    known = _known(plan)
    for towards, position in _ANY_POSITION[plan.side]:
        row = _UNFOLDED[(*known, towards, position)]
        if row.outcome is not _MALFORMED:
            return None
    return row


def closes_by_name(plan: Plan) -> bool:
    """Return True if a plan can open nothing at any position."""
    return (
        plan.reduce_only is True
        or plan.side is _CLOSE
        or plan.decision is _RECONCILE_CLOSE
        or is_closing(plan.action)
    )


def is_closing(action: str) -> bool:
    """Return True for the name of an action that can open nothing."""
    return action == "UPDATE_SL" or action.startswith(_CLOSING_PREFIXES)


def percent_of(action: str) -> int | None:
    """Return a closing action's percentage of the available amount; None where its name has none."""
    if not action.startswith(_CLOSING_PREFIXES):
        return None
    if "FULL" in action:
        return 100
    if action.endswith("75"):
        return 75
    return 50 if action.endswith("50") else None


def _known(plan: Plan) -> _Known:
    """Return the table's columns that do not depend on the position."""
    reconcile_close = plan.decision is _RECONCILE_CLOSE
    return _columns(reconcile_close, plan.action, plan.reduce_only, plan.quantity is not None)


@lru_cache(maxsize=256)  # few combinations are in use
def _columns(reconcile_close: bool, action_name: str, reduce_only: bool | None, quantity: bool) -> _Known:
    """Return the columns of a plan with these values, and a quantity or not.

    The guardrails check `reduceOnly` of a RECONCILE_CLOSE, and its quantity is explicit: here it counts as
    reduce-only, and as closing unless its action is another.
    """
    action, given = _action(action_name), Q.GIVEN if quantity else Q.NONE
    if reconcile_close:
        return (A.CLOSING if action in A.ABSENT | A.UNKNOWN else action), R.TRUE, given
    given_as = R.MISSING if reduce_only is None else R.TRUE if reduce_only else R.FALSE
    return action, given_as, given


def _action(name: str) -> Action:
    if name.startswith(_CLOSING_PREFIXES):
        return A.CLOSING
    if name == "ENTRY_PROPOSED":
        return A.ENTRY
    if name == "UPDATE_SL":
        return A.UPDATE_SL
    return A.UNKNOWN if name else A.ABSENT
