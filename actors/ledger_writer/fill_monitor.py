"""Monitors fills of the private stream: those that adopted ledgers contain, those without a result."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import trio
from structlog.typing import FilteringBoundLogger

from brain.identifiers import FencingToken, OrderId, PlanId, Symbol
from brain.ledger.adoption import Contained
from brain.ledger.fill_memory import FillMemory
from brain.numbers import plain
from channels import DropOldest, FillObserved, OrderObserved, ResultBook
from exchange.errors import AskLater, ExchangeError, ExchangeRejected
from exchange.protocol import OrderLookup
from store.protocol import ResultStore
from store.records import BookingKeys
from supervision import Heartbeat

_PUSH_WITHIN_SEC = 1.0
_LOOKUP_PAUSE_SEC = 0.5
_MOST_LOOKUPS = 3
_SWEEP_SEC = 1.0
_MOST_AT_ONCE = 64


class FillMonitor:
    """Part of the ledger writer. Asks the exchange for fills that the stream did not deliver."""

    def __init__(
        self,
        fills: DropOldest[OrderObserved],
        orders: OrderLookup,
        store: ResultStore,
        memory: FillMemory,
        *,
        results: ResultBook,
        grace_sec: float,
        log: FilteringBoundLogger,
    ) -> None:
        """`memory` outlives restarts of the ledger writer. A fill without a result is reported after
        `grace_sec`."""
        self._results = results
        self._fills = fills
        self._orders = orders
        self._store = store
        self._grace_sec = grace_sec
        self._log = log
        self.memory = self._memory = memory
        #: Called after each intake of events.
        self.on_events: Callable[[], None] = lambda: None
        self._taken_in = trio.lowlevel.ParkingLot()

    async def listen(self, heartbeat: Heartbeat) -> None:
        """Take in order events until cancelled."""
        with heartbeat.task() as task:
            while True:
                with task.idle():
                    events = await self._fills.receive_all()
                for event in events:
                    if not isinstance(event, FillObserved):
                        self._memory.orders.add(event)
                        continue
                    self._memory.add(event)
                    self._results.date(
                        event.symbol, event.order_id, event.leg, event.cumulative, event.transaction_ms
                    )
                self._taken_in.unpark_all()
                self.on_events()

    def booked(self, symbol: Symbol, order_id: OrderId, cumulative: Decimal) -> None:
        """Note a booked result, which reported `cumulative` of the order (contracts)."""
        self._memory.booked(symbol, order_id)
        reached = self._memory.reached(symbol, order_id, cumulative)
        if reached is not None:
            leg, filled_ms = reached
            self._results.date(symbol, order_id, leg, cumulative, filled_ms)

    async def filled_within(
        self,
        symbol: Symbol,
        order_id: OrderId,
        contained: Contained,
        heartbeat: Heartbeat,
        *,
        reported: Decimal,
        waited_sec: float,
    ) -> Decimal:
        """Return how much of the order is contained (contracts): from the stream, else from the exchange.

        Waits for the exchange as long as needed: a guess would count a fill twice or not at all. The result,
        which `reported` so much of the order, was published `waited_sec` ago: its push is waited for until
        1 s after that.
        """
        memory = self._memory
        with trio.move_on_after(max(_PUSH_WITHIN_SEC - waited_sec, 0)):
            while (filled := memory.filled_within(symbol, order_id, contained, reported=reported)) is None:
                await self._taken_in.park()
            return filled
        lookups = 0
        while True:
            try:
                with heartbeat.waiting_for("the exchange's trades of an order"):
                    trades = await self._orders.order_trades(symbol, order_id)
            except AskLater as error:
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep_until(error.until.monotonic_sec)
            except ExchangeRejected as error:
                # An order that the exchange does not know is in no position of this account.
                self._log.warning(
                    "Order unknown to the exchange", symbol=symbol, order_id=order_id, error=str(error)
                )
                return Decimal(0)
            except ExchangeError as error:
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep(_LOOKUP_PAUSE_SEC)
            else:
                memory.looked_up(symbol, order_id, ((trade.quantity, trade.time_ms) for trade in trades))
                filled = memory.filled_within(symbol, order_id, contained, reported=reported)
                if filled is not None:
                    return filled
                lookups += 1
                if lookups == _MOST_LOOKUPS:
                    self._log.warning(
                        "The exchange lists fewer fills of an order than its result reports",
                        symbol=symbol,
                        order_id=order_id,
                        reported=plain(reported),
                    )
                    return memory.known_within(symbol, order_id, contained)
                # The list of trades may show a fill only a moment later.
                with heartbeat.waiting_for("the exchange's trades of an order"):
                    await trio.sleep(_LOOKUP_PAUSE_SEC)

    async def report_unexplained(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Report fills without a result until cancelled: they are of orders that are not ours."""
        with heartbeat.task() as task:
            while True:
                with task.idle():
                    await trio.sleep(_SWEEP_SEC)
                await self._report_some(fence, task)

    async def _report_some(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        fills = self._memory.unexplained(trio.current_time(), grace_sec=self._grace_sec)[:_MOST_AT_ONCE]
        if not fills:
            return
        wanted = [BookingKeys(fill.symbol, PlanId(""), (fill.order_id,)) for fill in fills]
        for fill, state in zip(fills, await self._store.booking_states(wanted), strict=True):
            if state is None or fill.order_id not in state.orders:
                await self._report(fill, None if state is None else state.ledger.last_known_amt, fence)
            self._memory.reported(fill)
            heartbeat.beat()

    async def _report(self, fill: FillObserved, ledger_amount: str | None, fence: FencingToken) -> None:
        self._log.warning(
            f"{fill.symbol}: Fill of an order that is not ours",
            cause=fill.cause,
            order_id=fill.order_id,
            quantity=plain(fill.cumulative),
        )
        await self._store.emit_event(
            fence,
            (
                "event", "LEDGER_DIVERGED",
                "symbol", fill.symbol,
                "cause", fill.cause,
                "ledger_amt", "" if ledger_amount is None else ledger_amount,
                "order_id", fill.order_id,
                "client_order_id", fill.client_order_id,
                "position_side", fill.leg,
                "side", fill.order_side,
                "cumulative_qty", plain(fill.cumulative),
                "order_status", fill.status,
                "transaction_ms", str(fill.transaction_ms),
            ),
        )  # fmt: skip
