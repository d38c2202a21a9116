"""Quantity of an order: never more than its permit, nor on a close than its position."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.execution import reasons
from brain.numbers import EXACT, ZERO, NotANumberError, floor_to_step, parse_decimal_down
from brain.plans.permit import Kind
from brain.symbols.symbol_rules import SymbolRules

ONE = Decimal(1)


class SizeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of orders, beside the exchange's. Notionals are in quote currency and concern opens and adds.

    `apply_downsize`: the Governor's hints shrink them. `allow_upsize`: one that falls below a minimum may
    grow to it, within what the permit allows. `max_notional` None: no limit.
    """

    apply_downsize: bool = False
    allow_upsize: bool = False
    min_notional: Decimal = ZERO
    max_notional: Decimal | None = None


class Permitted(msgspec.Struct, frozen=True):
    """Quantity that the permits allow (contracts), and the Governor's hints, 1 where it gives none."""

    kind: Kind
    quantity: Decimal
    qty_scale: Decimal = ONE
    downsize_factor: Decimal = ONE


class Sized(msgspec.Struct, frozen=True):
    """Quantity to order (contracts), or the `error` why none may be."""

    quantity: Decimal
    error: str | None = None


def read_scale(hint: object) -> Decimal:
    """Return a hint of the Governor as a factor: 1 where it is missing, 0 where it cannot be read."""
    if hint is None or hint == "":
        return ONE
    try:
        factor = hint if isinstance(hint, Decimal) else parse_decimal_down(str(hint))
    except NotANumberError:
        return ZERO
    return min(max(factor, ZERO), ONE) if factor.is_finite() else ZERO


def size_order(
    permitted: Permitted,
    rules: SymbolRules,
    limits: SizeLimits,
    *,
    mark_price: Decimal | None,
    position: Decimal | None,
) -> Sized:
    """Return the quantity to order. `position`: the leg's amount without sign, None where it is not known.

    It is rounded down to the market step. An open or add whose notional cannot be computed is refused where a
    limit needs it.
    """
    most = floor_to_step(permitted.quantity, rules.market_step)
    if rules.market_max > ZERO:
        most = min(most, floor_to_step(rules.market_max, rules.market_step))
    if permitted.kind is Kind.CLOSE:
        if position is not None:
            most = min(most, floor_to_step(position, rules.market_step))
        return _not_below(most, rules)
    quantity = _scaled(most, permitted, limits, rules.market_step)
    least = _least(rules, limits, mark_price)
    if least is None:
        return Sized(ZERO, reasons.MIN_NOTIONAL_CHECK_FAILED)
    if limits.allow_upsize and quantity < least <= most:
        quantity = least
    sized = _not_below(quantity, rules)
    if sized.error is None and quantity < least:
        return Sized(ZERO, reasons.MIN_NOTIONAL_CHECK_FAILED)
    if sized.error is None and _too_large(quantity, mark_price, limits.max_notional):
        return Sized(ZERO, reasons.POSITION_TOO_LARGE)
    return sized


def _too_large(quantity: Decimal, mark_price: Decimal | None, max_notional: Decimal | None) -> bool:
    if max_notional is None:
        return False
    return mark_price is None or EXACT.multiply(quantity, mark_price) > max_notional


def _scaled(quantity: Decimal, permitted: Permitted, limits: SizeLimits, step: Decimal) -> Decimal:
    if not limits.apply_downsize:
        return quantity
    factor = EXACT.multiply(permitted.qty_scale, permitted.downsize_factor)
    return floor_to_step(EXACT.multiply(quantity, factor), step)


def _least(rules: SymbolRules, limits: SizeLimits, mark_price: Decimal | None) -> Decimal | None:
    """Return the least quantity by number and notional, a multiple of the step; None: it is not known."""
    step = rules.market_step
    least = rules.market_min
    if rules.min_notional is None:
        return None
    notional = max(limits.min_notional, rules.min_notional)
    if notional > ZERO:
        if mark_price is None or mark_price <= ZERO:
            return None
        steps = EXACT.divide_int(notional, EXACT.multiply(mark_price, step))
        by_notional = EXACT.multiply(steps, step)
        if EXACT.multiply(by_notional, mark_price) < notional:
            by_notional = EXACT.add(by_notional, step)
        least = max(least, by_notional)
    whole = floor_to_step(least, step)
    return whole if whole == least else EXACT.add(whole, step)


def _not_below(quantity: Decimal, rules: SymbolRules) -> Sized:
    if quantity <= ZERO or quantity < rules.market_min:
        return Sized(ZERO, reasons.BELOW_MIN_QTY)
    return Sized(quantity)
