"""Follows the fills that the private stream tells: what adopted ledgers contain, what nobody explains."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import trio
from structlog.typing import FilteringBoundLogger

from brain.ledger.adoption import Contained
from brain.ledger.fill_memory import FillMemory, ToldFill
from brain.ledger.order_events import OrderEvent
from brain.numbers import plain
from channels import DropOldest, OrderEndObserved, OrderObserved, ResultBook
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


class FillWatch:
    """Part of the ledger writer. What it has not heard, it asks the exchange for."""

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
        """`memory` outlives the ledger writer's incarnations. `grace_sec`: how long after a fill its result
        may come before somebody else is suspected."""
        self._results = results
        self._fills = fills
        self._orders = orders
        self._store = store
        self._grace_sec = grace_sec
        self._log = log
        self.memory = self._memory = memory
        #: Called after each intake of events.
        self.on_events: Callable[[], None] = lambda: None
        self._told = trio.lowlevel.ParkingLot()

    async def listen(self, heartbeat: Heartbeat) -> None:
        """Take in fills until cancelled."""
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    fills = await self._fills.receive_all()
                for fill in fills:
                    if isinstance(fill, OrderEndObserved):
                        self._ended(fill)
                        continue
                    self._memory.told(
                        ToldFill(
                            fill.symbol,
                            fill.leg,
                            fill.order_id,
                            fill.client_order_id,
                            fill.order_side,
                            fill.cumulative,
                            fill.status,
                            fill.transaction_ms,
                            fill.received.monotonic_sec,
                            fill.quantity,
                        )
                    )
                    self._results.date(
                        fill.symbol, fill.order_id, fill.leg, fill.cumulative, fill.transaction_ms
                    )
                self._told.unpark_all()
                self.on_events()

    def _ended(self, order: OrderEndObserved) -> None:
        self._memory.orders.told(
            OrderEvent(
                order.symbol,
                order.leg,
                order.order_id,
                order.client_order_id,
                order.order_side,
                order.cumulative,
                order.status,
                order.transaction_ms,
                order.received.monotonic_sec,
            )
        )

    def booked(self, symbol: str, order_id: str, cumulative: Decimal) -> None:
        """A result for the order was booked, which reported `cumulative` of it (contracts)."""
        self._memory.booked(symbol, order_id)
        reached = self._memory.reached(symbol, order_id, cumulative)
        if reached is not None:
            leg, filled_ms = reached
            self._results.date(symbol, order_id, leg, cumulative, filled_ms)

    async def filled_within(
        self,
        symbol: str,
        order_id: str,
        contained: Contained,
        heartbeat: Heartbeat,
        *,
        reported: Decimal,
        waited_sec: float,
    ) -> Decimal:
        """Return what is contained of the order (contracts): from the stream, else from the exchange.

        Waits for the exchange if need be: a guess would count a fill twice or not at all. `waited_sec` ago
        the order's result came, which `reported` so much: a push that is not here soon after that was told to
        nobody here.
        """
        memory = self._memory
        with trio.move_on_after(max(_PUSH_WITHIN_SEC - waited_sec, 0)):
            while (filled := memory.filled_within(symbol, order_id, contained, reported=reported)) is None:
                await self._told.park()
            return filled
        lookups = 0
        while True:
            try:
                with heartbeat.waiting_for("the exchange's word on an order"):
                    trades = await self._orders.order_trades(symbol, order_id)
            except AskLater as error:
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep_until(error.until.monotonic_sec)
            except ExchangeRejected as error:
                # What the exchange will never tell of is in no position of this account.
                self._log.warning("Unknown order", symbol=symbol, order_id=order_id, error=str(error))
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
                        "The exchange knows less of an order than its result reports",
                        symbol=symbol,
                        order_id=order_id,
                        reported=plain(reported),
                    )
                    return memory.known_within(symbol, order_id, contained)
                # The list of trades may follow a fill only a moment later.
                with heartbeat.waiting_for("the exchange's word on an order"):
                    await trio.sleep(_LOOKUP_PAUSE_SEC)

    async def report_unexplained(self, fence: str, heartbeat: Heartbeat) -> None:
        """Report fills for which no result came, until cancelled: something moved the exchange, not we."""
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    await trio.sleep(_SWEEP_SEC)
                await self._report_some(fence, strand)

    async def _report_some(self, fence: str, heartbeat: Heartbeat) -> None:
        fills = self._memory.unexplained(trio.current_time(), grace_sec=self._grace_sec)[:_MOST_AT_ONCE]
        if not fills:
            return
        wanted = [BookingKeys(fill.symbol, "", (fill.order_id,)) for fill in fills]
        for fill, state in zip(fills, await self._store.booking_states(wanted), strict=True):
            if state is None or fill.order_id not in state.orders:
                await self._report(fill, None if state is None else state.ledger.last_known_amt, fence)
            self._memory.reported(fill)
            heartbeat.beat()

    async def _report(self, fill: ToldFill, ledger_amount: str | None, fence: str) -> None:
        self._log.warning(
            f"{fill.symbol}: the exchange moved by no order of ours",
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
