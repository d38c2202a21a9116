"""The rules by which Binance accepts market orders, and the quantity it accepts.

Source: USDⓈ-M Futures, "New Order", "Filters" and "Error Codes".
"""

from __future__ import annotations

import re
from decimal import Decimal

from simulator import errors
from simulator.history import FLAT
from simulator.orders import MarketOrder
from simulator.symbols import Symbol, plain

_CLIENT_ORDER_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")


def accepted_quantity(
    order: MarketOrder, symbol: Symbol, *, hedge_mode: bool, trading: bool, position: Decimal, price: Decimal
) -> Decimal:
    """Return the quantity that will be executed; ``ApiError`` when the order is refused.

    ``position`` is the signed amount of the leg the order names. A reduce-only order, and in hedge mode any
    order against its leg, is cut to that leg's amount, and refused (-2022) where it would not reduce.
    """
    _check_leg(order, hedge_mode=hedge_mode)
    _check_quantity(order.quantity, symbol)
    if order.client_order_id is not None and not _CLIENT_ORDER_ID.match(order.client_order_id):
        raise errors.client_order_id_invalid()
    if _only_reduces(order, hedge_mode=hedge_mode):
        delta = order.quantity if order.side == "BUY" else -order.quantity
        if position * delta >= 0:
            raise errors.reduce_only_rejected()
        return min(order.quantity, abs(position))
    if not trading:
        raise errors.symbol_not_open_for_trading()
    if order.quantity * price < symbol.min_notional:
        raise errors.notional_too_small(plain(symbol.min_notional))
    return order.quantity


def _check_leg(order: MarketOrder, *, hedge_mode: bool) -> None:
    if hedge_mode != (order.position_side != "BOTH"):
        raise errors.position_side_does_not_match()
    if hedge_mode and order.reduce_only:
        raise errors.parameter_not_required("reduceonly")


def _check_quantity(quantity: Decimal, symbol: Symbol) -> None:
    if quantity <= 0:
        raise errors.quantity_not_positive()
    if quantity > symbol.market_max_qty:
        raise errors.quantity_above_maximum()
    if quantity % symbol.step_size != FLAT:
        raise errors.precision_exceeded()
    if quantity < symbol.min_qty:
        raise errors.quantity_below_minimum()


def _only_reduces(order: MarketOrder, *, hedge_mode: bool) -> bool:
    return order.reduce_only or (hedge_mode and closes_leg(order.position_side, order.side))


def closes_leg(position_side: str | None, side: str | None) -> bool:
    """Return True for an order against the hedge-mode leg that it names."""
    return (position_side, side) in (("LONG", "SELL"), ("SHORT", "BUY"))
