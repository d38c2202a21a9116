"""The account's history as one process asks for it, watched."""

from __future__ import annotations

from brain.identifiers import OrderId, Symbol
from brain.reconciliation.evidence import HistoricOrder
from exchange.history import HistoryRequests
from exchange.history_protocol import HistoryWeights, TradesPage, TradesPart
from tests.simulation.order_way import KillPoints
from tests.simulation.reconcile_steps import ReconcileSteps

#: As Binance documents them.
_TRADES, _ORDERS, _FORCED_ORDERS, _ORDER = 5, 5, 20, 1


class WatchedHistory:
    """`AccountHistory` over the simulated network. Each request is judged as it leaves."""

    def __init__(
        self, history: HistoryRequests, name: str, judge: ReconcileSteps, points: KillPoints
    ) -> None:
        """`name` is the process's."""
        self._history = history
        self._name = name
        self._judge = judge
        self._points = points

    @property
    def weights(self) -> HistoryWeights:
        return self._history.weights

    async def trades(self, symbol: Symbol, part: TradesPart) -> TradesPage:
        await self._leaves(symbol, _TRADES)
        return await self._history.trades(symbol, part)

    async def orders(self, symbol: Symbol, *, from_id: OrderId) -> tuple[HistoricOrder, ...]:
        await self._leaves(symbol, _ORDERS)
        return await self._history.orders(symbol, from_id=from_id)

    async def forced_orders(self, symbol: Symbol, *, since_ms: int) -> tuple[HistoricOrder, ...]:
        await self._leaves(symbol, _FORCED_ORDERS)
        return await self._history.forced_orders(symbol, since_ms=since_ms)

    async def order(self, symbol: Symbol, order_id: OrderId) -> HistoricOrder | None:
        await self._leaves(symbol, _ORDER)
        return await self._history.order(symbol, order_id)

    async def _leaves(self, symbol: Symbol, weight: int) -> None:
        self._judge.asked(self._name, symbol, weight)
        await self._points.passing("before the history", self._name)
