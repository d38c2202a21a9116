"""Orders as the exchange remembers them, and the requests they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

from simulator import errors
from simulator.history import FLAT, PositionSide
from simulator.symbols import Symbol

Side = Literal["BUY", "SELL"]
OrderStatus = Literal["NEW", "PARTIALLY_FILLED", "FILLED", "EXPIRED"]


class MarketOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A client's order request. The quantity is positive; the side gives it its direction."""

    symbol: str
    side: Side
    quantity: Decimal
    position_side: PositionSide = "BOTH"
    reduce_only: bool = False
    client_order_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Order:
    """An accepted order with what has become of it. Times are the exchange's, epoch milliseconds."""

    order_id: int
    client_order_id: str
    symbol: Symbol
    side: Side
    position_side: PositionSide
    quantity: Decimal
    reduce_only: bool
    time_ms: int
    order_type: str = "MARKET"
    status: OrderStatus = "NEW"
    executed: Decimal = FLAT
    executed_quote: Decimal = FLAT
    update_time_ms: int = field(default=0)
    fills: list[Fill] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        """The quantity that may still be filled: 0 once the order has ended."""
        return FLAT if self.is_final else self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        return self.executed_quote / self.executed if self.executed else FLAT

    def book(self, fill: Fill) -> None:
        """Count an execution in."""
        self.executed += fill.quantity
        self.executed_quote += fill.quantity * fill.price
        self.status = "FILLED" if self.remaining <= 0 else "PARTIALLY_FILLED"
        self.update_time_ms = fill.transaction_time_ms
        self.fills.append(fill)

    def expire(self, time_ms: int) -> None:
        self.status = "EXPIRED"
        self.update_time_ms = time_ms

    @property
    def is_final(self) -> bool:
        return self.status in ("FILLED", "EXPIRED")


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of (part of) an order. ``delta`` is signed."""

    delta: Decimal
    price: Decimal
    realized_profit: Decimal
    commission: Decimal
    trade_id: int
    transaction_time_ms: int
    execution_type: str = "TRADE"

    @property
    def quantity(self) -> Decimal:
        return abs(self.delta)


class OrderBook:
    """All orders of the account by id. Client order ids are unique among them."""

    def __init__(self, first_order_id: int = 8_886_774) -> None:
        self._next_order_id = first_order_id
        self._by_id: dict[int, Order] = {}
        self._by_client_id: dict[str, Order] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def next_order_id(self) -> int:
        self._next_order_id += 1
        return self._next_order_id

    def knows_client_id(self, client_order_id: str) -> bool:
        return client_order_id in self._by_client_id

    def add(self, order: Order) -> None:
        self._by_id[order.order_id] = order
        self._by_client_id[order.client_order_id] = order

    def find(self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None) -> Order:
        """Return the order with that id; ``ApiError`` -2013 when the symbol has none such."""
        order = (
            self._by_client_id.get(client_order_id or "") if order_id is None else self._by_id.get(order_id)
        )
        if order is None or order.symbol.name != symbol:
            raise errors.order_does_not_exist()
        return order

    def open_legs(self) -> set[tuple[str, PositionSide]]:
        """Return the legs with an order that has not ended."""
        return {
            (order.symbol.name, order.position_side) for order in self._by_id.values() if not order.is_final
        }

    def forget_open(self) -> None:
        """Drop every order that has not ended, as if it had never been."""
        for order in [order for order in self._by_id.values() if not order.is_final]:
            del self._by_id[order.order_id]
            self._by_client_id.pop(order.client_order_id, None)

    def of(self, symbol: str) -> list[Order]:
        """Return the symbol's orders, oldest first."""
        return [order for order in self._by_id.values() if order.symbol.name == symbol]
