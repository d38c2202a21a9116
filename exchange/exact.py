"""Range checks for decimals: the JSON decoder accepts NaN, infinities and any size."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation, Rounded

_LARGEST_EXPONENT = 14
_SMALLEST_EXPONENT = -18
_SMALLEST = Decimal(1).scaleb(_SMALLEST_EXPONENT)
#: To 18 decimals it takes without rounding what has no more of them and is below 10^15.
_FITTING = Context(prec=_LARGEST_EXPONENT + 1 - _SMALLEST_EXPONENT, traps=[InvalidOperation, Rounded])


def finite(number: Decimal) -> Decimal:
    """Return `number` if its size is possible for a quantity or price (see `brain.numbers`).

    Raises ValueError for NaN, an infinity, 10^15 and more, or more than 18 decimals.
    """
    try:
        if not _FITTING.quantize(number, _SMALLEST).is_nan():
            return number
    except (InvalidOperation, Rounded):
        pass
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"not a finite number: {number}")  # noqa: TRY004 - a wrong value of the right type
    if number.adjusted() > _LARGEST_EXPONENT or exponent < _SMALLEST_EXPONENT:
        raise ValueError(f"out of range: {number:.3e}")
    return number


def finite_or_none(value: object) -> Decimal | None:
    """Return the number of a JSON text or number; None for anything else and where `finite` raises.

    For prices and leverage, which no decision uses.
    """
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        return None
    try:
        return finite(Decimal(value))
    except (ValueError, InvalidOperation):
        return None
