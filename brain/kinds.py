"""What a plan asks for: the contract's kind table, row by row.

The table is data, so that it can be held beside the contract; it is unfolded once, at import, into a
lookup that has an answer for every combination. Nothing else decides about kinds.

Three things the contract's table leaves open are settled here:

* A closing action that names no side means `CLOSE` (the harvest path leaves it out at times). Where there
  is no closing action to lean on, a missing side is malformed.
* A closing action without `reduceOnly` is held to what `reduceOnly=true` would be: an order along the
  position is a `reduce_only_side_mismatch`, not an add.
* In hedge mode the leg says what reduces it, also when it is flat (`SELL` for LONG, `BUY` for SHORT), and
  Binance forbids `reduceOnly` there: so an order that reduces a flat leg is a close of nothing, never an open.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, auto
from itertools import product
from typing import NamedTuple, TypeAlias

from brain.permit import Kind, Reason
from brain.plan import Plan, PlanDecision, Side
from brain.position import Leg

UPDATE_STOP_LOSS = "UPDATE_SL"
_ENTRY_PROPOSED = "ENTRY_PROPOSED"
_CLOSING_PREFIXES = ("FULL", "CLOSE", "PARTIAL")


class Action(Enum):
    """What an action's name says."""

    CLOSING = auto()
    ENTRY = auto()
    NO_ACTION = auto()
    UNKNOWN = auto()
    UPDATE_SL = auto()


class Wants(Enum):
    """Whether the plan gives a quantity."""

    QUANTITY = auto()
    NO_QUANTITY = auto()


class Towards(Enum):
    """A plan's side, seen from the position. On a flat one-way position every order leads away from zero."""

    REDUCING = auto()
    ALONG = auto()
    CLOSE = auto()
    NO_SIDE = auto()


class Holding(Enum):
    """The position, seen from the plan's quantity; `COVERED` also when the plan gives none."""

    FLAT = auto()
    COVERED = auto()  # |position| >= quantity
    EXCEEDED = auto()  # 0 < |position| < quantity


class Row(NamedTuple):
    """One row: the sets it holds for, and what such a plan is. `because` names the field that is wrong."""

    actions: frozenset[Action]
    reduce_only: frozenset[bool | None]
    wants: frozenset[Wants]
    towards: frozenset[Towards]
    holding: frozenset[Holding]
    outcome: Kind | Reason
    because: tuple[str, str] | None = None


_ANY_REDUCE_ONLY: frozenset[bool | None] = frozenset({True, False, None})
_ANY_WANTS = frozenset(Wants)
_ANY_SIDE = frozenset(Towards)
_ANY_HOLDING = frozenset(Holding)
_NON_ZERO = frozenset({Holding.COVERED, Holding.EXCEEDED})
_ORDER_SIDE = frozenset({Towards.REDUCING, Towards.ALONG})
_NOT_FALSE: frozenset[bool | None] = frozenset({True, None})


def _set(*members: E) -> frozenset[E]:
    return frozenset(members)


_CLOSING = _set(Action.CLOSING)
_ENTRY = _set(Action.ENTRY)
_ENTRY_OR_NONE = _set(Action.ENTRY, Action.NO_ACTION)
_NONE_OR_UNKNOWN = _set(Action.NO_ACTION, Action.UNKNOWN)
_UPDATE_SL = _set(Action.UPDATE_SL)
_TRUE: frozenset[bool | None] = frozenset({True})
_FALSE: frozenset[bool | None] = frozenset({False})
_MISSING: frozenset[bool | None] = frozenset({None})
_GIVEN = _set(Wants.QUANTITY)
_NOT_GIVEN = _set(Wants.NO_QUANTITY)
_FLAT = _set(Holding.FLAT)
