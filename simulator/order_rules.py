"""The rules by which Binance accepts orders, and the quantity it accepts.

Source: USDⓈ-M Futures, "New Order", "Filters" and "Error Codes".
"""

from __future__ import annotations

import re
from decimal import Decimal

from simulator import errors
from simulator.history import FLAT
from simulator.orders import LimitOrder, NewOrder
from simulator.symbols import (
    MAX_PRICE_IN_TICKS,
    MULTIPLIER_DOWN,
    MULTIPLIER_UP,
    Symbol,
    decimal_places,
    plain,
)

_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


def accepted_quantity(
    order: NewOrder, symbol: Symbol, *, hedge_mode: bool, trading: bool, position: Decimal, price: Decimal
) -> Decimal:
    """Return the quantity that will be executed; ``ApiError`` when the order is refused.

    ``position`` is the signed amount of the leg the order names, ``price`` the mark price. A reduce-only
    order, and in hedge mode any order against its leg, is cut to that leg's amount, and refused (-2022) where
    it would not reduce.
    """
    _check_leg(order, hedge_mode=hedge_mode)
    is_limit = isinstance(order, LimitOrder)
    _check_quantity(order.quantity, symbol, symbol.max_qty if is_limit else symbol.market_max_qty)
    if order.client_order_id is not None and not _CLIENT_ORDER_ID.fullmatch(order.client_order_id):
        raise errors.client_order_id_invalid()
    if isinstance(order, LimitOrder):
        _check_price(order, symbol, price)
        price = order.price
    if order.only_reduces:
        if position * order.delta >= 0:
            raise errors.reduce_only_rejected()
        return min(order.quantity, abs(position))
    if not trading:
        raise errors.symbol_not_open_for_trading()
    if order.quantity * price < symbol.min_notional:
        raise errors.notional_too_small(plain(symbol.min_notional))
    return order.quantity


def _check_leg(order: NewOrder, *, hedge_mode: bool) -> None:
    if hedge_mode != (order.position_side != "BOTH"):
        raise errors.position_side_does_not_match()
    if hedge_mode and order.reduce_only:
        raise errors.parameter_not_required("reduceonly")


def _check_quantity(quantity: Decimal, symbol: Symbol, most: Decimal) -> None:
    if quantity <= 0:
        raise errors.quantity_not_positive()
    if quantity > most:
        raise errors.quantity_above_maximum()
    if _more_precise(quantity, symbol.quantity_precision):
        raise errors.precision_exceeded()
    if quantity % symbol.step_size != FLAT:
        raise errors.quantity_off_step()
    if quantity < symbol.min_qty:
        raise errors.quantity_below_minimum()


def _check_price(order: LimitOrder, symbol: Symbol, mark_price: Decimal) -> None:
    """Check ``PRICE_FILTER`` and ``PERCENT_PRICE``."""
    price = order.price
    if price <= 0:
        raise errors.price_not_positive()
    if price > symbol.tick_size * MAX_PRICE_IN_TICKS:
        raise errors.price_above_maximum()
    if _more_precise(price, symbol.price_precision):
        raise errors.precision_exceeded()
    if price % symbol.tick_size != FLAT:
        raise errors.price_off_tick()
    if order.side == "BUY" and price > mark_price * MULTIPLIER_UP:
        raise errors.price_above_cap()
    if order.side == "SELL" and price < mark_price * MULTIPLIER_DOWN:
        raise errors.price_below_floor()


def _more_precise(value: Decimal, places: int) -> bool:
    return decimal_places(value.normalize()) > places
