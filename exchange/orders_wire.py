"""Parsers of orders and fills in answers of the exchange.

Source: Binance USDⓈ-M Futures, "New Order", "Query Order", "All Orders", "Account Trade List" and "Symbol
Configuration". Answers to order requests have had no `avgPrice` since 2026-06-30.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal

import msgspec

from brain.execution.orders import OWN_PREFIX, OrderState, OrderStatus
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.json_text import read_json
from brain.numbers import EXACT, ZERO
from brain.positions.position import Leg
from exchange.exact import finite, finite_or_none
from exchange.wrong_numbers import read_exchange_json

_ROUNDING = Context(prec=60)
_PRICE_DECIMALS = Decimal("1e-8")


class OrderBody(msgspec.Struct, frozen=True, rename="camel"):
    """Order, as all answers show it."""

    symbol: Symbol
    side: str
    order_id: int
    client_order_id: ClientOrderId
    status: OrderStatus
    executed_qty: Decimal
    update_time: int
    position_side: Leg = Leg.BOTH
    avg_price: object = None


class ListedOrder(msgspec.Struct, frozen=True, rename="camel"):
    """Part that every row of `allOrders` has; `time` is when the order was placed."""

    order_id: int
    client_order_id: str
    time: int


class TradeBody(msgspec.Struct, frozen=True, rename="camel"):
    """Fill of an order."""

    order_id: int
    qty: Decimal
    price: Decimal


class AnyAnswer(msgspec.Struct, frozen=True):
    """Answer of which nothing is used."""


ORDER = msgspec.json.Decoder(OrderBody)
_LISTED = msgspec.json.Decoder(ListedOrder)
TRADES = msgspec.json.Decoder(tuple[TradeBody, ...])
ANY_ANSWER = msgspec.json.Decoder(AnyAnswer)


def read_order(body: bytes) -> OrderState | None:
    """Return the order of an answer's body; None where it has none that can be read."""
    try:
        return order_state(read_exchange_json(ORDER, body))
    except (msgspec.DecodeError, ValueError):
        return None


def read_listed(row: msgspec.Raw) -> tuple[ListedOrder, OrderState | None]:
    """Return an order of a list; no state for one of others that cannot be read.

    Raises DecodeError, or ValueError for one of the executor's own that cannot be read.
    """
    listed = read_json(_LISTED, row)
    state = read_order(bytes(row))
    if state is None and listed.client_order_id.startswith(OWN_PREFIX):
        raise ValueError(f"order {listed.order_id} cannot be read")
    return listed, state


def order_state(body: OrderBody) -> OrderState:
    """Return an order. Raises ValueError for a quantity that no order has."""
    executed = finite(body.executed_qty)
    if executed < 0:
        raise ValueError(f"executed quantity {executed}")
    return OrderState(
        symbol=body.symbol,
        leg=body.position_side,
        side=body.side,
        order_id=OrderId(str(body.order_id)),
        client_order_id=body.client_order_id,
        status=body.status,
        cumulative=executed,
        average_price=price_or_none(body.avg_price),
        update_ms=body.update_time,
    )


def price_or_none(value: object) -> Decimal | None:
    """Return a price above 0; None for anything else."""
    price = finite_or_none(value)
    return price if price is not None and price > 0 else None


def average_price(trades: Iterable[TradeBody], order_id: OrderId, filled: Decimal) -> Decimal | None:
    """Return the mean price of an order's fills by quantity, to 8 decimals.

    None while they do not add up to `filled`. Raises ValueError for numbers that no fill has.
    """
    own: Sequence[TradeBody] = [trade for trade in trades if str(trade.order_id) == order_id]
    quantity = value = ZERO
    for trade in own:
        quantity = EXACT.add(quantity, finite(trade.qty))
        value = EXACT.add(value, EXACT.multiply(trade.qty, finite(trade.price)))
    if quantity != filled or quantity <= 0:
        return None
    return _ROUNDING.divide(value, quantity).quantize(_PRICE_DECIMALS, context=_ROUNDING)
