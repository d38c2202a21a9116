"""Quantities of plans, out of an intent's size. They are rounded down, always."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Final

from brain.intents.case import IntentCase, Steps
from brain.numbers import EXACT, SMALLEST, ZERO, floor_to_step

#: Its results times any price are exact in `EXACT`.
_DIVIDING: Final = Context(prec=45, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow])
#: From here on no plan can have a quantity (`brain.numbers`).
LARGEST: Final = Decimal(10) ** 15


def wanted_quantity(case: IntentCase) -> Decimal | None:
    """Return the quantity (contracts) of an intent that gives one or a notional; None without a price."""
    intent = case.intent
    if intent.quantity is not None:
        return intent.quantity
    price = intent.price or case.mark_price
    if intent.notional is None or price is None:
        return None
    return _DIVIDING.divide(intent.notional, price)


def within_notional(quantity: Decimal, price: Decimal, most: Decimal) -> Decimal:
    """Return the quantity, cut to the largest notional (quote currency); 0 cuts nothing."""
    if not most or EXACT.multiply(quantity, price) <= most:
        return quantity
    return _DIVIDING.divide(most, price)


def of_position(position: Decimal, fraction: Decimal) -> Decimal:
    """Return a part of a position (contracts), exactly."""
    return EXACT.multiply(position.copy_abs(), fraction)


def rounded_down(quantity: Decimal, steps: Steps | None) -> Decimal:
    """Return the largest multiple of the step that is not above a quantity; 1E-18 where none is known."""
    known = steps is not None and steps.step > ZERO
    return floor_to_step(quantity, steps.step if steps is not None and known else SMALLEST)


def is_too_small(quantity: Decimal, steps: Steps | None) -> bool:
    """Return True for 0, and for less than the exchange accepts."""
    return quantity <= ZERO or (steps is not None and quantity < steps.least)
