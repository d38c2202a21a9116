"""Account history over HTTPS: trades by pages and weeks, and the orders behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from brain.identifiers import OrderId, Symbol
from brain.reconciliation.evidence import HistoricOrder, Trade
from exchange import endpoints, history_wire
from exchange.endpoints import Endpoint
from exchange.errors import ExchangeRejected, ExchangeUnavailable
from exchange.history_protocol import HistoryWeights, TradesPage, TradesPart
from exchange.history_wire import HistoricOrderRow
from exchange.learnt_weights import LearntWeights
from exchange.protocol import Priority
from exchange.retried_requests import RetriedRequests

PAGE, _FORCED_PAGE = 1000, 100
_DAY_MS = 24 * 3600 * 1000
_WEEK_MS, _KEPT_MS = 7 * _DAY_MS, 90 * _DAY_MS
#: A week that ends so soon may be over when the exchange reads the request.
_MARGIN_MS = 60_000
_NO_SUCH_ORDER = -2013

T = TypeVar("T")


class HistoryRequests:
    """`AccountHistory` over HTTPS."""

    def __init__(
        self,
        requests: RetriedRequests,
        weights: LearntWeights,
        exchange_now_ms: Callable[[], int],
        *,
        page: int = PAGE,
    ) -> None:
        """`exchange_now_ms`: the exchange's clock, epoch ms. `page`: trades and orders asked for at once."""
        self._page = page
        self._requests = requests
        self._weights = weights
        self._exchange_now_ms = exchange_now_ms

    @property
    def weights(self) -> HistoryWeights:
        of = self._weights.of
        return HistoryWeights(
            trades=of(endpoints.USER_TRADES),
            orders=of(endpoints.ALL_ORDERS),
            forced_orders=of(endpoints.FORCE_ORDERS),
            order=of(endpoints.QUERY_ORDER),
        )

    async def trades(self, symbol: Symbol, part: TradesPart) -> TradesPage:
        """See `AccountHistory`.

        The documentation leaves open which trades of a span a full page holds: the oldest, or the newest. So
        those behind the page are read by trade id, and those before it by time. A span that began more than
        7 days ago is read week by week, with an end: without one the exchange may answer nothing.
        """
        if part.from_id is not None:
            found = await self._trades(symbol, {"fromId": str(part.from_id)})
            if found and found[0].trade_id < part.from_id:
                raise ExchangeUnavailable("unreadable answer: trades before the one that was asked for")
            return TradesPage(found, (_behind(found, part),) if len(found) >= self._page else ())
        next_week = None if part.until_ms is not None else self._next_week(part.since_ms)
        until_ms = part.until_ms if next_week is None else next_week.since_ms
        ends = {} if until_ms is None else {"endTime": str(until_ms)}
        found = await self._trades(symbol, {"startTime": str(part.since_ms), **ends})
        if any(trade.time_ms < part.since_ms for trade in found):
            raise ExchangeUnavailable("unreadable answer: trades before the time that was asked for")
        if len(found) < self._page:
            return TradesPage(found, () if next_week is None else (next_week,))
        if next_week is not None:
            # By trade id the exchange may show no more than the last 7 days.
            raise ExchangeUnavailable(f"userTrades: {len(found)} trades or more in a week that is over")
        if part.until_ms is not None:
            return TradesPage(found, (_before(found, part),))
        return TradesPage(found, (_before(found, part), _behind(found, part)))

    async def orders(self, symbol: Symbol, *, from_id: OrderId) -> tuple[HistoricOrder, ...]:
        params = {"orderId": str(from_id), "limit": str(self._page)}
        return await self._orders(endpoints.ALL_ORDERS, symbol, params)

    async def forced_orders(self, symbol: Symbol, *, since_ms: int) -> tuple[HistoricOrder, ...]:
        params = {"startTime": str(since_ms), "limit": str(_FORCED_PAGE)}
        next_week = self._next_week(since_ms)
        if next_week is not None:
            params["endTime"] = str(next_week.since_ms)
        return await self._orders(endpoints.FORCE_ORDERS, symbol, params)

    async def order(self, symbol: Symbol, order_id: OrderId) -> HistoricOrder | None:
        params = {"orderId": str(order_id)}
        try:
            row: HistoricOrderRow = await self._ask(endpoints.QUERY_ORDER, history_wire.ORDER, symbol, params)
        except ExchangeRejected as error:
            if error.code == _NO_SUCH_ORDER:
                return None
            raise
        (order,) = _readable((row,), symbol)
        if order.order_id != order_id:
            raise ExchangeUnavailable("unreadable answer: another order than was asked for")
        return order

    async def _trades(self, symbol: Symbol, selected: dict[str, str]) -> tuple[Trade, ...]:
        params = {**selected, "limit": str(self._page)}
        rows = await self._ask(endpoints.USER_TRADES, history_wire.TRADES, symbol, params)
        try:
            trades = [row.trade() for row in rows if row.symbol == symbol]
        except ValueError as error:
            raise ExchangeUnavailable(f"unreadable answer: trades: {error}") from None
        if len(trades) < len(rows):
            raise ExchangeUnavailable("unreadable answer: trades of another symbol")
        return tuple(sorted(trades, key=lambda trade: trade.trade_id))

    async def _orders(
        self, endpoint: Endpoint, symbol: Symbol, params: dict[str, str]
    ) -> tuple[HistoricOrder, ...]:
        rows = await self._ask(endpoint, history_wire.ORDERS, symbol, params)
        return _readable(rows, symbol)

    async def _ask(
        self, endpoint: Endpoint, decoder: msgspec.json.Decoder[T], symbol: Symbol, params: dict[str, str]
    ) -> T:
        answer, _, _ = await self._requests.ask(
            endpoint, decoder, {"symbol": symbol, **params}, Priority.ON_DEMAND, attempts=1
        )
        return answer

    def _next_week(self, since_ms: int) -> TradesPart | None:
        """Return what follows the 7 days from `since_ms` on; None where these are not over."""
        past_ms = self._exchange_now_ms() - since_ms
        if past_ms > _KEPT_MS:
            raise ExchangeUnavailable("the exchange does not show what is older than 90 days")
        return TradesPart(since_ms + _WEEK_MS) if past_ms > _WEEK_MS - _MARGIN_MS else None


def _behind(found: Sequence[Trade], part: TradesPart) -> TradesPart:
    return TradesPart(part.since_ms, from_id=found[-1].trade_id + 1)


def _before(found: Sequence[Trade], part: TradesPart) -> TradesPart:
    """Return the part before a full page of a span. Raises ExchangeUnavailable for a page of one moment."""
    oldest_ms = min(trade.time_ms for trade in found)
    if part.until_ms is not None and oldest_ms >= part.until_ms:
        raise ExchangeUnavailable(f"userTrades: {len(found)} trades or more within one millisecond")
    return TradesPart(part.since_ms, until_ms=oldest_ms)


def _readable(rows: Sequence[HistoricOrderRow], symbol: Symbol) -> tuple[HistoricOrder, ...]:
    """Return the orders by id. Raises ExchangeUnavailable for one of another symbol or without a quantity."""
    if any(row.symbol != symbol for row in rows):
        raise ExchangeUnavailable("unreadable answer: orders of another symbol")
    try:
        return tuple(row.order() for row in sorted(rows, key=lambda row: row.order_id))
    except ValueError as error:
        raise ExchangeUnavailable(f"unreadable answer: orders: {error}") from None
