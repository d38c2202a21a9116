"""Trades and orders of an account as a test dictates them, on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

import trio
from msgspec.structs import replace

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.positions.position import Leg
from brain.reconciliation.evidence import HistoricOrder, Trade
from clock import Clock
from exchange.errors import ExchangeError
from exchange.history_protocol import HistoryWeights, TradesPage, TradesPart

_FIRST_ORDER_ID = 5000


class HistoryRequest(NamedTuple):
    """Request as it was sent: trio's clock, the method's name, the symbol, and what was asked for."""

    at_sec: float
    method: str
    symbol: Symbol
    asked: TradesPart | OrderId | int


class _Listed(NamedTuple):
    order: HistoricOrder
    trades: list[tuple[float, Trade]]
    forced: bool


class DictatedHistory:
    """An `AccountHistory` with the fills that the test made by `fill`; every request is kept.

    A fill appears `lag_sec` after it was made, orders with their first fill. `failures` are raised by the
    next requests, one each; `failure` by every request. `page`: rows of a full page, which has the oldest.
    `hidden`: orders that no list and no query shows. `on_request` is called before each answer is made.
    """

    def __init__(self, clock: Clock, *, page: int = 1000) -> None:
        self.clock = clock
        self.page = page
        self.latency_sec = 0.05
        self.lag_sec = 0.0
        self.weights = HistoryWeights(trades=5, orders=5, forced_orders=20, order=1)
        self.requests: list[HistoryRequest] = []
        self.failure: ExchangeError | None = None
        self.failures: list[ExchangeError] = []
        self.hidden: set[OrderId] = set()
        self.on_request: Callable[[HistoryRequest], None] = lambda _request: None
        self._listed: dict[tuple[Symbol, OrderId], _Listed] = {}
        self._last_trade_id = 100
        self._last_order_id = _FIRST_ORDER_ID

    def fill(
        self,
        symbol: str,
        side: str,
        quantity: str,
        *,
        client_order_id: str = "",
        order_id: OrderId | None = None,
        leg: Leg = Leg.BOTH,
        time_ms: int | None = None,
        placed_ms: int | None = None,
        conditional: bool = False,
        forced: bool = False,
    ) -> OrderId:
        """Fill an order, a new one unless `order_id` names one. Returns its id.

        `time_ms`: of the trade, now unless given. `placed_ms`: of a new order, else its first trade's time.
        `forced`: in `forced_orders`, and missing in `orders`.
        """
        now = self.clock.now()
        if order_id is None:
            self._last_order_id += 1
            order_id = OrderId(str(self._last_order_id))
        name = ClientOrderId(client_order_id or f"web_{order_id}")
        key = Symbol(symbol), order_id
        listed = self._listed.get(key)
        at_ms = now.wall_ms if time_ms is None else time_ms
        if listed is None:
            begun_ms = at_ms if placed_ms is None else placed_ms
            order = HistoricOrder(order_id, name, side, leg, Decimal(0), conditional, begun_ms, begun_ms)
            listed = _Listed(order, [], forced)
        self._last_trade_id += 1
        trade = Trade(self._last_trade_id, order_id, side, leg, Decimal(quantity), at_ms)
        listed.trades.append((now.monotonic_sec, trade))
        self._listed[key] = listed
        return order_id

    def count(self, method: str = "", symbol: str = "") -> int:
        """Return how many requests were sent, of one method and symbol where these are named."""
        return sum(method in ("", each.method) and symbol in ("", each.symbol) for each in self.requests)

    def weight(self, since_sec: float = 0.0) -> int:
        """Return the weight of the requests since then (trio's clock)."""
        sent = (each for each in self.requests if each.at_sec >= since_sec)
        return sum(getattr(self.weights, each.method) for each in sent)

    async def trades(self, symbol: Symbol, part: TradesPart) -> TradesPage:
        await self._asked("trades", symbol, part)
        shown = sorted(
            (trade for listed in self._of(symbol) for trade in self._shown(listed)),
            key=lambda trade: trade.trade_id,
        )
        if part.from_id is not None:
            found = [trade for trade in shown if trade.trade_id >= part.from_id]
        else:
            until_ms = part.until_ms
            found = [
                trade
                for trade in shown
                if part.since_ms <= trade.time_ms and (until_ms is None or trade.time_ms <= until_ms)
            ]
        page = tuple(found[: self.page])
        if len(page) < self.page:
            return TradesPage(page)
        return TradesPage(page, (TradesPart(part.since_ms, from_id=page[-1].trade_id + 1),))

    async def orders(self, symbol: Symbol, *, from_id: OrderId) -> tuple[HistoricOrder, ...]:
        await self._asked("orders", symbol, from_id)
        shown = [listed.order for listed in self._visible(symbol) if not listed.forced]
        return tuple(order for order in shown if int(order.order_id) >= int(from_id))[: self.page]

    async def forced_orders(self, symbol: Symbol, *, since_ms: int) -> tuple[HistoricOrder, ...]:
        await self._asked("forced_orders", symbol, since_ms)
        return tuple(
            listed.order
            for listed in self._visible(symbol)
            if listed.forced and listed.trades[-1][1].time_ms >= since_ms
        )

    async def order(self, symbol: Symbol, order_id: OrderId) -> HistoricOrder | None:
        await self._asked("order", symbol, order_id)
        return next((each.order for each in self._visible(symbol) if each.order.order_id == order_id), None)

    async def _asked(self, method: str, symbol: Symbol, asked: TradesPart | OrderId | int) -> None:
        request = HistoryRequest(trio.current_time(), method, symbol, asked)
        self.requests.append(request)
        await trio.sleep(self.latency_sec)
        self.on_request(request)
        if self.failures:
            raise self.failures.pop(0)
        if self.failure is not None:
            raise self.failure

    def _of(self, symbol: Symbol) -> Iterable[_Listed]:
        return [listed for (name, _), listed in self._listed.items() if name == symbol]

    def _shown(self, listed: _Listed) -> list[Trade]:
        now_sec = self.clock.now().monotonic_sec
        return [trade for at_sec, trade in listed.trades if at_sec + self.lag_sec <= now_sec]

    def _visible(self, symbol: Symbol) -> list[_Listed]:
        """Return the orders that appear by now, with what has been filled of them by the shown trades."""
        found: list[_Listed] = []
        for listed in self._of(symbol):
            shown = self._shown(listed)
            if shown and listed.order.order_id not in self.hidden:
                cumulative = sum((trade.quantity for trade in shown), Decimal(0))
                updated_ms = max(trade.time_ms for trade in shown)
                order = replace(listed.order, cumulative=cumulative, updated_ms=updated_ms)
                found.append(listed._replace(order=order))
        return sorted(found, key=lambda each: int(each.order.order_id))
