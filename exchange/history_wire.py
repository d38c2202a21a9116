"""Parsers of the account's trades and orders in lists, for the reconcile engine.

Source: Binance USDⓈ-M Futures, "Account Trade List", "All Orders", "User's Force Orders", "Query Order".
A row without symbol, ids, side, leg, quantity or time makes the answer unreadable.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.positions.position import Leg
from brain.reconciliation.evidence import HistoricOrder, Trade
from exchange.exact import finite

#: Types of orders that wait for a trigger. One that was triggered may show it as `origType` alone.
_CONDITIONAL = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
Side = Literal["BUY", "SELL"]


class TradeRow(msgspec.Struct, frozen=True, rename="camel"):
    """Fill of an order, as `userTrades` lists it."""

    symbol: Symbol
    id: int
    order_id: int
    side: Side
    position_side: Leg
    qty: Decimal
    time: int

    def trade(self) -> Trade:
        """Return the trade. Raises ValueError for a quantity that no trade has."""
        return Trade(
            self.id,
            OrderId(str(self.order_id)),
            self.side,
            self.position_side,
            _quantity(self.qty),
            self.time,
        )


class HistoricOrderRow(msgspec.Struct, frozen=True, rename="camel"):
    """Order in any state, as all lists show it."""

    symbol: Symbol
    order_id: int
    client_order_id: ClientOrderId
    side: Side
    position_side: Leg
    executed_qty: Decimal
    time: int
    update_time: int
    type: str = ""
    orig_type: str = ""

    def order(self) -> HistoricOrder:
        """Return the order. Raises ValueError for a quantity that no order has."""
        return HistoricOrder(
            OrderId(str(self.order_id)),
            self.client_order_id,
            self.side,
            self.position_side,
            _quantity(self.executed_qty),
            self.type in _CONDITIONAL or self.orig_type in _CONDITIONAL,
            self.time,
            self.update_time,
        )


TRADES = msgspec.json.Decoder(tuple[TradeRow, ...])
ORDERS = msgspec.json.Decoder(tuple[HistoricOrderRow, ...])
ORDER = msgspec.json.Decoder(HistoricOrderRow)


def _quantity(number: Decimal) -> Decimal:
    if finite(number) < 0:
        raise ValueError(f"a quantity of {number}")
    return number
