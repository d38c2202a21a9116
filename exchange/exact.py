"""Guards the edge: the JSON decoder takes NaN, infinities and any size for a decimal; nothing inside does."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

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


def finite_or_none(value: object) -> Decimal | None:
    """The number that JSON text or number `value` is; None for anything else and for what `finite` refuses.

    For prices and leverage, on which no decision rests.
    """
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        return None
    try:
        return finite(Decimal(value))
    except (ValueError, InvalidOperation):
        return None
