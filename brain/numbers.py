"""Exact decimals: parsing, rounding to a step, text without exponent."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import cast

ZERO = Decimal(0)

#: Wide enough that a sum or product of any two accepted numbers is exact; an inexact result is a bug.
EXACT = Context(prec=80, traps=[InvalidOperation, Overflow, Inexact])

_DECIMAL_TEXT = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_USUAL_TEXT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,18})?", re.ASCII)  # within all limits
_LARGEST_EXPONENT = 14  # below 10^15: more contracts of anything than exist
_MOST_DECIMALS = 18
#: Finest step of any quantity or price.
SMALLEST = Decimal(1).scaleb(-_MOST_DECIMALS)
_RESIDUES_A_STEP = Decimal(1000)
_CUTTING = Context(prec=80, traps=[InvalidOperation])


class NotANumberError(ValueError):
    """Text is no finite decimal of a size possible for a quantity, price or time."""


def parse_decimal(text: str) -> Decimal:
    """Parse a finite decimal, as written by Python's `str(float)` or in Binance's JSON strings.

    An exponent is accepted (`1e-05`). NaN, infinities, more than 15 integer or 18 fractional digits, and
    underscores or digits of other scripts, which `Decimal` accepts, raise NotANumberError.
    """
    if _USUAL_TEXT.fullmatch(text):
        return Decimal(text) or ZERO
    number = _bounded(text)
    if _decimals(number) > _MOST_DECIMALS and _decimals(number.normalize(EXACT)) > _MOST_DECIMALS:
        raise NotANumberError(f"more decimals than any quantity has: {text[:40]!r}")
    return number


def parse_decimal_down(text: str) -> Decimal:
    """Parse a decimal like `parse_decimal`, but truncate it after 18 decimals.

    For quantities divided as floats and never rounded (`0.0018408917647709654`): the result is never further
    from zero than the text, and any step size is far coarser. Raises NotANumberError, also for a result of
    zero, which would mean "not given".
    """
    number = _bounded(text)
    if _decimals(number) <= _MOST_DECIMALS:
        return number
    cut = number.quantize(SMALLEST, ROUND_DOWN, _CUTTING)
    if cut == 0:
        raise NotANumberError(f"smaller than any quantity: {text[:40]!r}")
    return cut


def _bounded(text: str) -> Decimal:
    """Return a finite decimal below 10^15, zero always as `0`. Raises NotANumberError."""
    if not _DECIMAL_TEXT.fullmatch(text):
        raise NotANumberError(f"not a decimal number: {text[:40]!r}")
    number = Decimal(text)
    if number == 0:
        return ZERO
    if number.adjusted() > _LARGEST_EXPONENT:
        raise NotANumberError(f"out of range: {text[:40]!r}")
    return number


def _decimals(number: Decimal) -> int:
    """Return the number of decimals of a finite number; negative for a positive exponent."""
    return -cast("int", number.as_tuple().exponent)


def plain(number: Decimal) -> str:
    """Return signed decimal text, never in exponent form, without trailing zeros; zero is `0`."""
    if not number:
        return "0"
    text = str(number)
    if "E" in text:
        text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def without_residue(amount: Decimal, step: Decimal) -> Decimal:
    """Return the multiple of `step` (> 0) that a sum of floats has missed, or else the amount itself.

    It has where the two are less than a thousandth of a step apart: that is far more than floats err in the
    amounts of positions, and far less than any fill.
    """
    steps = _CUTTING.divide(amount, step).to_integral_value()
    nearest = EXACT.multiply(steps, step)
    missed = EXACT.multiply(EXACT.subtract(amount, nearest).copy_abs(), _RESIDUES_A_STEP)
    return nearest or ZERO if missed < step else amount


def floor_to_step(quantity: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` (> 0) that is not above `quantity` (>= 0)."""
    return EXACT.multiply(EXACT.divide_int(quantity, step), step)
