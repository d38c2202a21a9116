"""How much of a position an intent of the exit lanes closes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NamedTuple

from brain.intents.intent_fields import Members, Problems, amount, shown

_ONE = Decimal(1)
_FRACTIONS: Final = ("qty_fraction", "percentage")
_QUANTITIES: Final = ("quantity", "qty", "close_qty")
_ALL: Final = frozenset({"FULL", "CLOSE", "EXIT"})
_SOME: Final = frozenset({"PARTIAL", "REDUCE", "HARVEST"})
_PARTS: Final = re.compile(r"[A-Z]+|[0-9]+")


class ExitSize(NamedTuple):
    """Contracts, or a part of the position below 1; neither: all of it."""

    quantity: Decimal | None = None
    fraction: Decimal | None = None


def exit_size(members: Members, problems: Problems) -> ExitSize:
    """Return the part of the position that is closed: by a fraction, a quantity, or the action's name.

    A fraction is one of 1 or, where it is above 1, a percentage. An action that closes nothing (`HOLD`,
    `MOVE_TO_BREAKEVEN`), or a partial one that does not say how much, is a problem.
    """
    action = members.get("action", "").upper()
    parts = set(_PARTS.findall(action))
    if action and not parts & (_ALL | _SOME):
        problems["action"] = f"closes nothing: {shown(action)}"
    for name in _FRACTIONS:
        if name in members:
            return ExitSize(fraction=_below_1(_fraction(members, name, problems)))
    for name in _QUANTITIES:
        if (quantity := amount(members, name, problems)) is not None:
            return ExitSize(quantity)
    if parts & _SOME:
        return ExitSize(fraction=_below_1(_named(action, problems)))
    if not action:
        problems["action"] = "missing"
    return ExitSize()


def _fraction(members: Members, name: str, problems: Problems) -> Decimal | None:
    number = amount(members, name, problems)
    if number is None:
        problems.setdefault(name, "closes nothing: 0")
        return None
    if number > _ONE:
        number = number.scaleb(-2)
    if number > _ONE:
        problems[name] = f"more than all: {shown(members[name])}"
    return number


def _named(action: str, problems: Problems) -> Decimal | None:
    """Return the part that an action's name ends with, such as PARTIAL_CLOSE_25."""
    last = _PARTS.findall(action)[-1]
    if last.isdecimal() and 0 < int(last) <= 100:
        return Decimal(last).scaleb(-2)
    problems["action"] = f"does not say how much: {shown(action)}"
    return None


def _below_1(fraction: Decimal | None) -> Decimal | None:
    return None if fraction == _ONE else fraction
