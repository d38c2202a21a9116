"""The latest event of each order on the private stream, found by order id or by client order id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from brain.ledger.result import FilledOrder, is_final
from brain.plans.permit import OpenPermit
from brain.positions.position import Leg


class OrderEvent(msgspec.Struct, frozen=True):
    """A fill or the end of an order (`ORDER_TRADE_UPDATE`). `cumulative` in contracts.

    `told_sec` is this host's monotonic clock, `transaction_ms` the exchange's.
    """

    symbol: str
    leg: Leg
    order_id: str
    client_order_id: str
    order_side: str
    cumulative: Decimal
    status: str
    transaction_ms: int
    told_sec: float

    def as_order(self) -> FilledOrder:
        """The order as an execution result would report it."""
        return FilledOrder(
            self.order_id, self.order_side, self.cumulative, self.status, is_final(self.status)
        )

    def may_settle(self, permit: OpenPermit) -> bool:
        """Return True if this is an order of the leg and side that the permit is for."""
        return self.leg is permit.leg and self.order_side == permit.order_side


class OrderEvents:
    """Remembers the latest `most_orders` orders. An event that is behind the known one changes nothing."""

    def __init__(self, most_orders: int) -> None:
        self._most_orders = most_orders
        self._orders: OrderedDict[tuple[str, str], OrderEvent] = OrderedDict()
        self._by_client_id: dict[tuple[str, str], str] = {}

    def told(self, event: OrderEvent) -> None:
        """Take in an event. Events of one order may arrive in any order: quantities and ends only grow."""
        key = event.symbol, event.order_id
        known = self._orders.pop(key, None)
        if known is not None:
            if is_final(known.status) and not is_final(event.status):
                event = msgspec.structs.replace(event, status=known.status)
            if known.cumulative > event.cumulative:
                event = msgspec.structs.replace(event, cumulative=known.cumulative)
        self._orders[key] = event
        self._by_client_id[event.symbol, event.client_order_id] = event.order_id
        while len(self._orders) > self._most_orders:
            (symbol, order_id), oldest = self._orders.popitem(last=False)
            if self._by_client_id.get((symbol, oldest.client_order_id)) == order_id:
                del self._by_client_id[symbol, oldest.client_order_id]

    def find(
        self, symbol: str, *, order_id: str | None, client_order_ids: Iterable[str], since_sec: float
    ) -> OrderEvent | None:
        """The latest event of an order with one of these ids that came after `since_sec` (monotonic clock).

        A client order id is unique among open orders only, so that an earlier order may have had it.
        Source: Binance USDⓈ-M Futures, "New Order", `newClientOrderId`.
        """
        names = [order_id, *(self._by_client_id.get((symbol, name)) for name in client_order_ids)]
        for name in names:
            event = None if name is None else self._orders.get((symbol, name))
            if event is not None and event.told_sec >= since_sec:
                return event
        return None
