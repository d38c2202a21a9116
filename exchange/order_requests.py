"""Order requests of the executor, and the reads that find out what became of one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

import msgspec
import trio

from brain.execution.orders import OrderOutcome, OrderRequest, OrderState
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from exchange import endpoints, orders_wire, wire
from exchange.errors import ExchangeError, ExchangeRejected, ExchangeUnavailable
from exchange.order_counts import OrderCounts
from exchange.order_sender import OrderSender, is_outside_window
from exchange.orders_wire import ListedOrder, OrderBody, read_listed
from exchange.positions_v3 import Leverages
from exchange.protocol import Priority
from exchange.retried_requests import RetriedRequests

#: Half of the time for which an idle connection is kept (seconds).
_PING_SEC = 15.0
_NO_SUCH_ORDER = -2013
_PAGE, _MOST_PAGES, _MOST_TRADES = 1000, 10, 1000

_Orders = dict[int, tuple[ListedOrder, OrderState | None]]


class OrderRequests:
    """`OrderEntry` over HTTPS."""

    def __init__(self, requests: RetriedRequests, sender: OrderSender, counts: OrderCounts) -> None:
        """Send orders by `sender` and all else, which may be repeated, by `requests`."""
        self._requests = requests
        self._sender = sender
        self._counts = counts
        self._outside_window = trio.Event()

    async def keep_connected(self) -> None:
        while True:
            await self._sender.ping()
            with trio.move_on_after(_PING_SEC):
                await self._outside_window.wait()
                self._outside_window = trio.Event()
                with suppress(ExchangeError):
                    await self._requests.synchronise()

    def reserve_order(self, *, closing: bool) -> Moment | None:
        return self._counts.reserve(closing=closing)

    def return_order(self) -> None:
        self._counts.give_back()

    def order_counts(self) -> Mapping[str, int]:
        return self._counts.used()

    async def place_order(self, request: OrderRequest) -> OrderOutcome:
        outcome = await self._sender.send(request)
        if is_outside_window(outcome):
            # This host's idea of the exchange's clock is wrong.
            self._outside_window.set()
        return outcome

    async def find_order(self, symbol: Symbol, client_order_id: ClientOrderId) -> OrderState | None:
        params = {"symbol": symbol, "origClientOrderId": client_order_id}
        try:
            body, _, _ = await self._requests.ask(
                endpoints.QUERY_ORDER, orders_wire.ORDER, params, Priority.VITAL
            )
        except ExchangeRejected as error:
            if error.code == _NO_SUCH_ORDER:
                return None
            raise
        order = _state(body)
        if (order.symbol, order.client_order_id) != (symbol, client_order_id):
            raise ExchangeUnavailable("unreadable answer: another order than was asked for")
        return order

    async def orders_since(self, symbol: Symbol, since_ms: int) -> tuple[OrderState, ...]:
        """See `OrderEntry`. Raises ExchangeUnavailable rather than return a part of the orders.

        The documentation leaves open which orders a full page holds: the oldest since `since_ms`, or the
        newest. So those behind the page are read by order id, and those before it by time.
        """
        begins = {"startTime": str(since_ms)}
        found = await self._orders(symbol, begins)
        is_full = len(found) >= _PAGE
        found |= await self._newer(symbol, found) if is_full else {}
        pages = 1
        while is_full:
            oldest_ms = min(listed.time for listed, _ in found.values())
            older = await self._orders(symbol, {**begins, "endTime": str(oldest_ms)})
            is_full = len(older) >= _PAGE
            pages += 1
            if is_full and (pages > _MOST_PAGES or found.keys() >= older.keys()):
                raise ExchangeUnavailable("allOrders: the oldest orders are not shown")
            found |= older
        return tuple(state for _, (_, state) in sorted(found.items()) if state is not None)

    async def _newer(self, symbol: Symbol, known: _Orders) -> _Orders:
        """Read the orders behind the known ones."""
        newer: _Orders = {}
        for _ in range(_MOST_PAGES):
            page = await self._orders(symbol, {"orderId": str(max(known | newer) + 1)})
            newer |= page
            if len(page) < _PAGE:
                return newer
        raise ExchangeUnavailable(f"allOrders: more than {_MOST_PAGES} pages of orders")

    async def _orders(self, symbol: Symbol, selected: Mapping[str, str]) -> _Orders:
        """Read a page of orders."""
        params = {"symbol": symbol, "limit": str(_PAGE), **selected}
        rows, _, _ = await self._requests.ask(endpoints.ALL_ORDERS, wire.ROWS, params, Priority.VITAL)
        try:
            return {listed.order_id: (listed, state) for listed, state in map(read_listed, rows)}
        except (msgspec.DecodeError, ValueError) as error:
            raise ExchangeUnavailable(f"unreadable answer: orders: {error}") from None

    async def average_price(self, symbol: Symbol, order_id: OrderId, filled: Decimal) -> Decimal | None:
        params = {"symbol": symbol, "orderId": order_id, "limit": str(_MOST_TRADES)}
        trades, _, _ = await self._requests.ask(
            endpoints.USER_TRADES, orders_wire.TRADES, params, Priority.ON_DEMAND
        )
        try:
            return orders_wire.average_price(trades, order_id, filled)
        except ValueError as error:
            raise ExchangeUnavailable(f"unreadable answer: trades: {error}") from None

    async def leverage(self, symbol: Symbol) -> int | None:
        rows, _, _ = await self._requests.ask(
            endpoints.SYMBOL_CONFIG, wire.ROWS, {"symbol": symbol}, Priority.ON_DEMAND
        )
        leverages = Leverages()
        leverages.learn(rows)
        leverage = leverages.of(symbol)
        return int(leverage) if leverage is not None and leverage == int(leverage) else None

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        params = {"symbol": symbol, "leverage": str(leverage)}
        await self._requests.ask(endpoints.SET_LEVERAGE, orders_wire.ANY_ANSWER, params, Priority.ON_DEMAND)


def _state(body: OrderBody) -> OrderState:
    try:
        return orders_wire.order_state(body)
    except ValueError as error:
        raise ExchangeUnavailable(f"unreadable answer: order {body.order_id}: {error}") from None
