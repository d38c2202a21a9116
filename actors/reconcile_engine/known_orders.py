"""Orders that earlier looks at one case have read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from brain.identifiers import OrderId
from brain.reconciliation.evidence import HistoricOrder, Trade

#: The exchange's clock is known to less than this (ms).
_MARGIN_MS = 1_000


class _Known(NamedTuple):
    order: HistoricOrder
    trade_ids: frozenset[int]


class KnownOrders:
    """Orders with the trades that they were read with: until an order has others, it is as it was.

    An order that lags behind its trades, or was read soon after the latest of them, is read again.
    """

    def __init__(self) -> None:
        self._known: dict[OrderId, _Known] = {}

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()

    def of(self, trades: Sequence[Trade]) -> dict[OrderId, HistoricOrder]:
        """Return those of the trades' orders that need not be read."""
        found: dict[OrderId, HistoricOrder] = {}
        for order_id, trade_ids in _ids_by_order(trades).items():
            known = self._known.get(order_id)
            if known is not None and known.trade_ids == trade_ids:
                found[order_id] = known.order
        return found

    def add(
        self, orders: Iterable[HistoricOrder], trades: Sequence[Trade], *, asked_ms: int, lag_ms: int
    ) -> None:
        """Add orders as they were shown, behind their trades. `asked_ms`: the exchange's clock before that.

        `lag_ms`: the exchange's lists lag by so much at most.
        """
        trade_ids, until_ms = _ids_by_order(trades), asked_ms - lag_ms - _MARGIN_MS
        latest_ms: dict[OrderId, int] = {}
        for trade in trades:
            latest_ms[trade.order_id] = max(trade.time_ms, latest_ms.get(trade.order_id, 0))
        for order in orders:
            if latest_ms.get(order.order_id, 0) <= min(until_ms, order.updated_ms):
                self._known[order.order_id] = _Known(order, trade_ids.get(order.order_id, frozenset()))


def _ids_by_order(trades: Sequence[Trade]) -> Mapping[OrderId, frozenset[int]]:
    grouped: dict[OrderId, set[int]] = {}
    for trade in trades:
        grouped.setdefault(trade.order_id, set()).add(trade.trade_id)
    return {order_id: frozenset(ids) for order_id, ids in grouped.items()}
