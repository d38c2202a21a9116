"""An exchange's orders as a test dictates them, on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import trio

from brain.execution.orders import Accepted, OrderOutcome, OrderRequest, OrderState, OrderStatus
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from clock import Clock
from exchange.errors import ExchangeError

Answer = Callable[[OrderRequest], OrderOutcome]


class DictatedOrders:
    """An exchange's orders as the test sets them: every request is kept, and `answer` says its outcome.

    `taken`: orders that the exchange has, by client order id; queries show those in `visible`.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.latency_sec = 0.05
        self.requests: list[OrderRequest] = []
        self.answer: Answer = self.fill
        self.visible: dict[ClientOrderId, OrderState] = {}
        self.queries: list[float] = []
        self.lists: list[Symbol] = []
        self.failure: ExchangeError | None = None
        self.leverages: dict[Symbol, int] = {}
        self.leverage_failure: ExchangeError | None = None
        self.sets_leverage = True
        self.leverage_sets: list[tuple[Symbol, int]] = []
        self.leverage_reads: list[Symbol] = []
        self.busy_until: Moment | None = None
        self.reserved = self.returned = 0
        self.prices: dict[OrderId, Decimal] = {}
        self._last_id = 1000
        #: How far its clock is ahead of the host's.
        self.ahead_ms = 0

    def exchange_ms(self, at: Moment) -> int:
        return at.wall_ms + self.ahead_ms

    exchange_ms_at_least = exchange_ms_at_most = exchange_ms

    def state(
        self,
        request: OrderRequest,
        status: str = "FILLED",
        filled: str | None = None,
        price: str | None = None,
    ) -> OrderState:
        """Return the state of the order of a request; its id stays the same."""
        known = self.visible.get(request.client_order_id)
        if known is None:
            self._last_id += 1
        return OrderState(
            symbol=request.symbol,
            leg=request.leg,
            side=request.side,
            order_id=OrderId(str(self._last_id)) if known is None else known.order_id,
            client_order_id=request.client_order_id,
            status=OrderStatus(status),
            cumulative=request.quantity if filled is None else Decimal(filled),
            average_price=None if price is None else Decimal(price),
            update_ms=self.clock.now().wall_ms,
        )

    def fill(self, request: OrderRequest) -> OrderOutcome:
        """Take the order and fill it."""
        order = self.visible[request.client_order_id] = self.state(request)
        return Accepted(order)

    def always(self, outcome: OrderOutcome) -> Answer:
        """Return an answer that takes nothing."""
        return lambda _request: outcome

    async def keep_connected(self) -> None:
        await trio.sleep_forever()

    def reserve_order(self, *, closing: bool) -> Moment | None:
        busy_until = None if closing else self.busy_until
        self.reserved += busy_until is None
        return busy_until

    def return_order(self) -> None:
        self.returned += 1

    def order_counts(self) -> Mapping[str, int]:
        return {"10s": len(self.requests)}

    async def place_order(self, request: OrderRequest) -> OrderOutcome:
        self.requests.append(request)
        await trio.sleep(self.latency_sec / 2)
        outcome = self.answer(request)
        await trio.sleep(self.latency_sec / 2)
        return outcome

    async def find_order(self, symbol: Symbol, client_order_id: ClientOrderId) -> OrderState | None:
        self.queries.append(trio.current_time())
        await trio.sleep(self.latency_sec)
        if self.failure is not None:
            raise self.failure
        return self.visible.get(client_order_id)

    async def orders_since(self, symbol: Symbol, since_ms: int) -> tuple[OrderState, ...]:
        self.lists.append(symbol)
        await trio.sleep(self.latency_sec)
        if self.failure is not None:
            raise self.failure
        return tuple(order for order in self.visible.values() if order.symbol == symbol)

    async def average_price(self, symbol: Symbol, order_id: OrderId, filled: Decimal) -> Decimal | None:
        await trio.sleep(self.latency_sec)
        return self.prices.get(order_id)

    async def leverage(self, symbol: Symbol) -> int | None:
        await trio.sleep(self.latency_sec)
        self.leverage_reads.append(symbol)
        return self.leverages.get(symbol)

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        self.leverage_sets.append((symbol, leverage))
        await trio.sleep(self.latency_sec)
        if self.sets_leverage:
            self.leverages[symbol] = leverage
        if self.leverage_failure is not None:
            raise self.leverage_failure
