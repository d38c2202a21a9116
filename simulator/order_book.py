"""The account's orders by id, by client order id, and those that are open.

Source: USDⓈ-M Futures, "New Order": a client order id is unique among *open* orders. An id of an ended order
may be used again; a query by it answers the newest of its orders.
"""

from __future__ import annotations

from simulator import errors
from simulator.history import PositionSide
from simulator.orders import Order


class OrderBook:
    """All orders of the account, oldest first."""

    def __init__(self, first_order_id: int = 8_886_774) -> None:
        self._next_order_id = first_order_id
        self._by_id: dict[int, Order] = {}
        self._by_client_id: dict[str, list[Order]] = {}
        self._by_symbol: dict[str, list[Order]] = {}
        self._open: dict[int, Order] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def next_order_id(self) -> int:
        self._next_order_id += 1
        return self._next_order_id

    def add(self, order: Order) -> None:
        self._by_id[order.order_id] = self._open[order.order_id] = order
        self._by_client_id.setdefault(order.client_order_id, []).append(order)
        self._by_symbol.setdefault(order.symbol.name, []).append(order)

    def knows_client_id(self, client_order_id: str, *, ended_too: bool = False) -> bool:
        """Return True if an open order has that id, or any order with ``ended_too``."""
        return any(ended_too or not order.is_final for order in self.named(client_order_id))

    def named(self, client_order_id: str) -> list[Order]:
        """Return every order that ever had that client order id, oldest first."""
        return list(self._by_client_id.get(client_order_id, ()))

    def find(
        self,
        symbol: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        visible_at_ms: int | None = None,
    ) -> Order:
        """Return the newest order with that id; ``ApiError`` -2013 when the symbol has none such.

        With ``visible_at_ms`` (the host's clock) an order that queries do not find yet is none.
        """
        if order_id is not None:
            named = [self._by_id[order_id]] if order_id in self._by_id else []
        else:
            named = self.named(client_order_id or "")
        for order in reversed(named):
            is_visible = visible_at_ms is None or order.visible_from_ms <= visible_at_ms
            if order.symbol.name == symbol and is_visible:
                return order
        raise errors.order_does_not_exist()

    def open(self, symbol: str | None = None) -> list[Order]:
        """Return the orders (of one symbol) that have not ended, oldest first."""
        for order_id in [order_id for order_id, order in self._open.items() if order.is_final]:
            del self._open[order_id]
        return [order for order in self._open.values() if symbol in (None, order.symbol.name)]

    def open_legs(self) -> set[tuple[str, PositionSide]]:
        """Return the legs with an order that has not ended."""
        return {(order.symbol.name, order.position_side) for order in self.open()}

    def forget_open(self) -> None:
        """Drop every order that has not ended, as if it had never been."""
        for order in self.open():
            order.status = "CANCELED"
            del self._by_id[order.order_id]
            self._by_client_id[order.client_order_id].remove(order)
            self._by_symbol[order.symbol.name].remove(order)
        self._open.clear()

    def of(self, symbol: str) -> list[Order]:
        """Return the symbol's orders, oldest first."""
        return list(self._by_symbol.get(symbol, ()))
