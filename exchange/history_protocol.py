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


class TradesPart(msgspec.Struct, frozen=True):
    """Part of the account's trades to be read with one request.

    Trades from `from_id` on; without it those from `since_ms` on (the exchange's clock), up to `until_ms`
    where that is given. Callers make `TradesPart(since_ms)`, and take all others from `TradesPage.rest`.
    """

    since_ms: int
    until_ms: int | None = None
    from_id: int | None = None


class TradesPage(msgspec.Struct, frozen=True):
    """Trades of one symbol, by trade id.

    `rest`: what remains to be read; the list is complete once nothing of any page does. Pages overlap.
    """

    trades: tuple[Trade, ...]
    rest: tuple[TradesPart, ...] = ()


class AccountHistory(Protocol):
    """Trades and orders of the account, for the reconcile engine. Raises as `Exchange` does.

    It may lag behind the position by seconds. Each method is one request, not repeated where it fails: the
    caller counts their weight. No method returns a part of an answer that it could not read.
    """

    @property
    def weights(self) -> HistoryWeights:
        """Return the weight of each request, as known now."""

    async def trades(self, symbol: Symbol, part: TradesPart) -> TradesPage:
        """Read a page of trades. `GET /fapi/v1/userTrades` (weight 5), 1000 a page, 7 days a request.

        Raises ExchangeUnavailable for trades that the exchange does not show any more (90 days), and where
        the rest of a full page cannot be asked for.
        """

    async def orders(self, symbol: Symbol, *, from_id: OrderId) -> tuple[HistoricOrder, ...]:
        """Read orders with this id and later ones, at most 1000. `GET /fapi/v1/allOrders` (weight 5).

        Liquidations may be missing, and orders that were placed more than 7 days ago.
        """

    async def forced_orders(self, symbol: Symbol, *, since_ms: int) -> tuple[HistoricOrder, ...]:
        """Read liquidations and ADL of the 7 days from `since_ms` on, at most 100.

        `GET /fapi/v1/forceOrders` (weight 20).
        """

    async def order(self, symbol: Symbol, order_id: OrderId) -> HistoricOrder | None:
        """Read one order by its id; None where it is not shown. `GET /fapi/v1/order` (weight 1)."""
