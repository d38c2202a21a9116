"""Margin of the account: its totals, and the orders and leverages that its balance does not cover.

Crossed margin in one asset, as far as a refusal depends on it. Source: USDⓈ-M Futures, "Account Information
V3", "Error Codes" (-2019, -2027, -2028).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from simulator import errors
from simulator.account import Account
from simulator.history import FLAT
from simulator.orders import LimitOrder, NewOrder

MAINTENANCE_MARGIN_RATE = Decimal("0.004")


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """Totals of the account in its one asset."""

    wallet: Decimal
    unrealized: Decimal
    position_initial: Decimal
    open_order_initial: Decimal
    maintenance: Decimal

    @property
    def balance(self) -> Decimal:
        """The margin balance: ``totalMarginBalance``."""
        return self.wallet + self.unrealized

    @property
    def initial(self) -> Decimal:
        return self.position_initial + self.open_order_initial

    @property
    def available(self) -> Decimal:
        return max(FLAT, self.balance - self.initial)


def margin_of(account: Account) -> Margin:
    """Sum up the account at its mark prices and leverages."""
    unrealized = initial = maintenance = FLAT
    for position in account.open_positions():
        name = position.symbol.name
        mark_price = account.mark_price(name)
        notional = abs(position.amount) * mark_price
        unrealized += position.unrealized_profit(mark_price)
        initial += notional / account.leverage(name)
        maintenance += notional * MAINTENANCE_MARGIN_RATE
    ordered = FLAT
    for order in account.orders.open():
        if not order.only_reduces:
            name = order.symbol.name
            price = order.price if order.is_limit else account.mark_price(name)
            ordered += order.remaining * price / account.leverage(name)
    return Margin(
        wallet=account.wallet_balance,
        unrealized=unrealized,
        position_initial=initial,
        open_order_initial=ordered,
        maintenance=maintenance,
    )


def check_covered(account: Account, order: NewOrder) -> None:
    """Raise ``ApiError`` -2027 or -2019 for an order that makes its leg too large for limit or balance."""
    name = order.symbol
    before = abs(account.position(name, order.position_side).amount)
    after = abs(account.position(name, order.position_side).amount + order.delta)
    if after <= before:
        return
    price = order.price if isinstance(order, LimitOrder) else account.mark_price(name)
    if after * price > account.max_notional(name):
        raise errors.position_above_maximum()
    if (after - before) * price / account.leverage(name) > margin_of(account).available:
        raise errors.margin_insufficient()


def check_leverage(account: Account, symbol: str, leverage: int) -> None:
    """Raise ``ApiError`` -2028 where the positions would need more margin than there is."""
    margin = margin_of(account)
    held = sum(
        (
            abs(position.amount) * account.mark_price(symbol)
            for position in account.open_positions()
            if position.symbol.name == symbol
        ),
        FLAT,
    )
    more = held / leverage - held / account.leverage(symbol)
    if more > margin.available:
        raise errors.leverage_too_small()
