"""Exact decimals: read from text, rounded to a step, written without an exponent."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import cast

ZERO = Decimal(0)

#: Wide enough that a sum or product of any two accepted numbers is exact; an inexact result is a bug.
EXACT = Context(prec=80, traps=[InvalidOperation, Overflow, Inexact])

_DECIMAL_TEXT = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_USUAL_TEXT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,18})?", re.ASCII)  # within all limits as it stands
_LARGEST_EXPONENT = 14  # below 10^15: more contracts of anything than exist
_MOST_DECIMALS = 18
_SMALLEST = Decimal(1).scaleb(-_MOST_DECIMALS)
_CUTTING = Context(prec=80, traps=[InvalidOperation])


class NotANumberError(ValueError):
    """The text is no finite decimal number of a size that a quantity, price or time can have."""


def parse_decimal(text: str) -> Decimal:
    """Read a finite decimal, such as Python's `str(float)` or Binance's JSON strings write it.

    An exponent is accepted (`1e-05`); NaN, infinities, more than 15 integer or 18 fractional digits and
    anything that `Decimal` would take but people do not write (underscores, other scripts' digits) are not.
    Raises NotANumberError.
    """
    if _USUAL_TEXT.fullmatch(text):
        return Decimal(text) or ZERO
    number = _bounded(text)
    if _decimals(number) > _MOST_DECIMALS and _decimals(number.normalize(EXACT)) > _MOST_DECIMALS:
        raise NotANumberError(f"more decimals than any quantity has: {text[:40]!r}")
    return number


def parse_decimal_down(text: str) -> Decimal:
    """Read a decimal as `parse_decimal` does, but cut off what is beyond its 18 decimals.

    For quantities that somebody divided as floats and never rounded (`0.0018408917647709654`): the result
    is never further from zero than the text says, and any step size is far coarser. Raises NotANumberError,
    also when nothing would be left: zero would mean "not given".
    """
    number = _bounded(text)
    if _decimals(number) <= _MOST_DECIMALS:
        return number
    cut = number.quantize(_SMALLEST, ROUND_DOWN, _CUTTING)
    if cut == 0:
        raise NotANumberError(f"smaller than any quantity: {text[:40]!r}")
    return cut


def _bounded(text: str) -> Decimal:
    """A finite decimal below 10^15, zero always as `0`."""
    if not _DECIMAL_TEXT.fullmatch(text):
        raise NotANumberError(f"not a decimal number: {text[:40]!r}")
    number = Decimal(text)
    if number == 0:
        return ZERO
    if number.adjusted() > _LARGEST_EXPONENT:
        raise NotANumberError(f"out of range: {text[:40]!r}")
    return number


def _decimals(number: Decimal) -> int:
    """How many digits a finite number has after its point; negative for a positive exponent."""
    return -cast("int", number.as_tuple().exponent)


def plain(number: Decimal) -> str:
    """Signed decimal text, never in exponent form, without trailing zeros; zero is `0`."""
    if not number:
        return "0"
    text = str(number)
    if "E" in text:
        text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def floor_to_step(quantity: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` (> 0) that is not above `quantity` (>= 0)."""
    return EXACT.multiply(EXACT.divide_int(quantity, step), step)
