"""Guards the edge: the JSON decoder takes NaN, infinities and any size for a decimal; nothing inside does."""

from __future__ import annotations

from decimal import Decimal

_LARGEST_EXPONENT = 14
_SMALLEST_EXPONENT = -18


def finite(number: Decimal) -> Decimal:
    """`number`, if it is of a size that a quantity or price can have, as `brain.numbers` understands it.

    Raises ValueError for NaN, an infinity, 10^15 and more, or more than 18 decimals.
    """
    if not number:
        return number
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"not a finite number: {number}")  # noqa: TRY004 - a wrong value of the right type
    if number.adjusted() > _LARGEST_EXPONENT or exponent < _SMALLEST_EXPONENT:
        raise ValueError(f"out of range: {number:.3e}")
    return number
