"""Order events of the private stream; the latest of each order, found by order id or client order id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.ledger.result import FilledOrder, is_final
from brain.moment import Moment
from brain.numbers import ZERO
from brain.plans.permit import OpenPermit
from brain.positions.position import Leg


class Cause(StrEnum):
    """The sender of an order, by its client order id."""

    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"
    ORDER = "order"


_PREFIXES = (
    ("settlement_autoclose-", Cause.SETTLEMENT),
    ("adl_autoclose", Cause.ADL),
    ("autoclose-", Cause.LIQUIDATION),
)


def cause_of(client_order_id: ClientOrderId) -> Cause:
    """Recognise liquidation, ADL and settlement by the exchange's own ids; all other ids are `order`.

    Source: Binance USDⓈ-M Futures, "User Data Streams", event ORDER_TRADE_UPDATE, field `c`.
    """
    return next((cause for prefix, cause in _PREFIXES if client_order_id.startswith(prefix)), Cause.ORDER)


class OrderEvent(msgspec.Struct, frozen=True):
    """An event of an order (`ORDER_TRADE_UPDATE`).

    `cumulative` is the order's filled quantity so far (`z`, contracts), `transaction_ms` the exchange's `T`.
    """

    symbol: Symbol
    leg: Leg
    order_id: OrderId
    client_order_id: ClientOrderId
    order_side: str
    cumulative: Decimal
    status: str
    transaction_ms: int
    received: Moment

    def as_order(self) -> FilledOrder:
        """Return the order as an execution result would report it."""
        return FilledOrder(
            self.order_id, self.order_side, self.cumulative, self.status, is_final(self.status)
        )

    def fits(self, permit: OpenPermit) -> bool:
        """Return True if this is an order of the permit's leg and side."""
        return self.leg is permit.leg and self.order_side == permit.order_side


class OrderEndObserved(OrderEvent, frozen=True):
    """The end of an order without another fill."""


class FillObserved(OrderEvent, frozen=True):
    """One fill of an order: execution type TRADE, or CALCULATED.

    `quantity` is what it added to `cumulative` (`l`); 0 where the stream did not say.
    """

    quantity: Decimal = ZERO

    @property
    def cause(self) -> Cause:
        """The sender of the order."""
        return cause_of(self.client_order_id)


class OrderEvents:
    """Remembers the latest event of the latest `most_orders` orders."""

    def __init__(self, most_orders: int) -> None:
        self._most_orders = most_orders
        self._orders: OrderedDict[tuple[Symbol, OrderId], OrderEvent] = OrderedDict()
        self._by_client_id: dict[tuple[Symbol, ClientOrderId], OrderId] = {}

    def add(self, event: OrderEvent) -> None:
        """Add an event. Those of one order may arrive in any order: its quantity grows, and its end stays."""
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
        self,
        symbol: Symbol,
        *,
        order_id: OrderId | None,
        client_order_ids: Iterable[ClientOrderId],
        since_sec: float,
    ) -> OrderEvent | None:
        """Return the latest event of an order with one of these ids, received after `since_sec` (monotonic).

        A client order id is unique among open orders only: an earlier order may have had it.
        Source: Binance USDⓈ-M Futures, "New Order", `newClientOrderId`.
        """
        names = [order_id, *(self._by_client_id.get((symbol, name)) for name in client_order_ids)]
        for name in names:
            event = None if name is None else self._orders.get((symbol, name))
            if event is not None and event.received.monotonic_sec >= since_sec:
                return event
        return None
