"""Protocol of the account's trades and orders, for the reconcile engine."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from brain.identifiers import OrderId, Symbol
from brain.reconciliation.evidence import HistoricOrder, Trade


class HistoryWeights(NamedTuple):
    """Request weights of the methods of `AccountHistory`."""

    trades: int
    orders: int
    forced_orders: int
    order: int


class TradesPage(msgspec.Struct, frozen=True):
    """Trades of one symbol, oldest first; `full`: there may be more behind the last one."""

    trades: tuple[Trade, ...]
    full: bool


class AccountHistory(Protocol):
    """Trades and orders of the account, for the reconcile engine. Raises as `Exchange` does.

    It may lag behind the position by seconds. Each method is one request: the caller counts their weight.
    """

    @property
    def weights(self) -> HistoryWeights:
        """Return the weight of each request, as known now."""

    async def trades(self, symbol: Symbol, *, since_ms: int, from_id: int | None = None) -> TradesPage:
        """Read a page of trades: from trade `from_id` on, else from `since_ms` (the exchange's clock) on.

        `GET /fapi/v1/userTrades` (weight 5), 1000 a page.
        """

    async def orders(
        self, symbol: Symbol, *, since_ms: int, from_id: OrderId | None = None
    ) -> tuple[HistoricOrder, ...]:
        """Read a page of orders: from order `from_id` on, else those placed from `since_ms` on.

        `GET /fapi/v1/allOrders` (weight 5), 1000 a page. Liquidations may be missing.
        """

    async def forced_orders(self, symbol: Symbol, *, since_ms: int) -> tuple[HistoricOrder, ...]:
        """Read liquidations and ADL since `since_ms`. `GET /fapi/v1/forceOrders` (weight 20)."""

    async def order(self, symbol: Symbol, order_id: OrderId) -> HistoricOrder | None:
        """Read one order by its id; None where it is not shown. `GET /fapi/v1/order` (weight 1)."""
