"""Orders of ours at the exchange that no record in hand explains: late ones, and orphans."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from actors.executor.live_orders import LiveOrder, LiveOrders, RecordWriter
from actors.executor.reports import ExecutorReports
from actors.executor.rules import ExecutorRules
from brain.execution import progress
from brain.execution.orders import OWN_PREFIX, OrderState
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, EntryId, FencingToken, PlanId, Symbol
from brain.ledger.order_memory import UnreadableRecordError, decode_memory
from brain.numbers import ZERO, NotANumberError, parse_decimal, plain
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, SnapshotBook
from clocks.clocks import Clocks
from clocks.growing_delay import GrowingDelay
from exchange.errors import ExchangeError
from exchange.protocol import OrderEntry
from store.errors import StoreRefusedError, UnreadableOrderError, WrongTypeError
from store.execution_protocol import ExecutorStore
from store.execution_records import ExecutionHold, OrphanReply
from supervision import Heartbeat

T = TypeVar("T")
#: Orphans are searched for among the orders of so long ago (ms), after a start and in a new run of Redis.
_LOOK_BACK_MS = 600_000
#: An orphan's hold outlives everything but an operator, or P3.4, which takes it over (ms).
_HOLD_MS = 7 * 86_400_000
_REASON = "orphan_order"
#: Pauses of the search: while orders cannot be read, and until it looks at positions again (seconds).
_RETRIES, _AGAIN_SEC = GrowingDelay(initial_sec=1.0, maximum_sec=60.0), 5.0


class Orphans:
    """Part of the executor: finds out whose order it is that the exchange shows.

    The order of a record that has ended is published late; one without a record is an orphan: its fill is
    real, and its plan is unknown. Where the reconcile engine has booked all of it, nothing is held. `on_late`
    begins to follow an order, `on_found` to check one that was found.
    """

    on_late: Callable[[LiveOrder], None]
    on_found: Callable[[OrderState], None]

    def __init__(
        self,
        store: ExecutorStore,
        exchange: OrderEntry,
        live_orders: LiveOrders,
        writer: RecordWriter,
        reports: ExecutorReports,
        *,
        book: SnapshotBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        clocks: Clocks,
        rules: ExecutorRules,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._live_orders = live_orders
        self._writer = writer
        self._reports = reports
        self._book = book
        self._symbol_rules = symbol_rules
        self._clocks = clocks
        self._rules = rules
        self._log = log
        self._searching = trio.CancelScope()
        #: Orders under check, with what the exchange has shown of them since.
        self._checking: dict[ClientOrderId, list[OrderState]] = {}

    async def check(self, order: OrderState, heartbeat: Heartbeat) -> None:
        """Deal with an order of ours that is not in hand."""
        shown = self._checking.get(order.client_order_id)
        if shown is not None:
            shown.append(order)
            return
        shown = self._checking[order.client_order_id] = [order]
        try:
            while shown:
                await self._check(shown.pop(0), heartbeat)
        finally:
            del self._checking[order.client_order_id]

    async def _check(self, order: OrderState, heartbeat: Heartbeat) -> None:
        try:
            record = await self._record_of(order.client_order_id, heartbeat)
        except (UnreadableOrderError, WrongTypeError) as error:
            self._log.error(
                f"{order.symbol}: an order whose record cannot be read; the symbol is held",
                client_order_id=order.client_order_id,
                order_id=order.order_id,
                error=str(error),
            )
            await self._hold(order, heartbeat)
            return
        live = self._live_orders.get(order.client_order_id)
        if live is not None:
            live.show(order, "event")
        elif record is None:
            await self._record_orphan(order, heartbeat)
        elif record.phase is OrderPhase.ORPHAN:
            await self._record_growth(record, order, heartbeat)
        else:
            self._resume(record, order)

    async def search(self, heartbeat: Heartbeat) -> None:
        """Look for orphans among the recent orders of all symbols with a position or a ledger.

        Positions appear in the book one shard after the other, so it goes on until each listed symbol is
        there, for 10 minutes at most, and until each list was read. A later search ends it.
        """
        self._searching.cancel()
        with trio.CancelScope() as self._searching, heartbeat.idle():
            now = self._clocks.now()
            since_ms = self._clocks.exchange_ms(now) - _LOOK_BACK_MS
            until_sec = now.monotonic_sec + _LOOK_BACK_MS / 1000
            with_ledger, read, failures = await self._with_ledger(heartbeat), set[Symbol](), 0
            missing = True
            while failures or (missing and self._clocks.now().monotonic_sec < until_sec):
                missing = any(self._book.get(each) is None for each in self._symbol_rules.value or {})
                held = {Symbol(each) for each in self._book.symbols() if self._book.holds(each)}
                failed = False
                for symbol in sorted((with_ledger | held) - read):
                    if await self._list(symbol, since_ms, heartbeat):
                        read.add(symbol)
                    else:
                        failed = True
                failures = failures + 1 if failed else 0
                await trio.sleep(_RETRIES.after(failures) if failed else _AGAIN_SEC)

    async def _list(self, symbol: Symbol, since_ms: int, heartbeat: Heartbeat) -> bool:
        """Check the symbol's orders; return False where they could not be read."""
        try:
            with heartbeat.waiting_for("the exchange's orders"):
                orders = await self._exchange.orders_since(symbol, since_ms)
        except ExchangeError as error:
            self._log.warning(f"{symbol}: not searched for orphans yet", error=str(error))
            return False
        for order in orders:
            if order.client_order_id.startswith(OWN_PREFIX):
                self.on_found(order)
        return True

    async def _with_ledger(self, heartbeat: Heartbeat) -> set[Symbol]:
        """Return the listed symbols whose ledger is not 0, or cannot be read."""
        symbols = [Symbol(each) for each in self._symbol_rules.value or {}]
        ledgers = await self._writer.until_stored(
            lambda _fence: self._store.ledger_amounts(symbols), heartbeat
        )
        return {symbol for symbol in symbols if not _is_zero(ledgers.get(symbol))}

    async def _record_of(self, client_order_id: ClientOrderId, heartbeat: Heartbeat) -> OrderRecord | None:
        async def read(_fence: FencingToken) -> OrderRecord | StoreRefusedError | None:
            try:
                plan_id = await self._store.plan_of(client_order_id)
                return None if plan_id is None else await self._store.order_record(plan_id)
            except (UnreadableOrderError, WrongTypeError) as error:
                return error

        record = await self._writer.until_stored(read, heartbeat)
        if isinstance(record, StoreRefusedError):
            raise record
        return record

    def _resume(self, record: OrderRecord, order: OrderState) -> None:
        """Publish what the record does not have of its order yet, and follow it to its end."""
        known = progress.observe(record, order)
        if progress.changes(record, known):
            live = self._live_orders.add(LiveOrder(record))
            live.learn(known, "event")
            self.on_late(live)

    async def _record_growth(self, record: OrderRecord, order: OrderState, heartbeat: Heartbeat) -> None:
        """Write what the record of an orphan does not have of its order yet."""
        live = LiveOrder(record)
        live.show(order, "event")
        await self._writer.catch_up(live, heartbeat)

    async def _record_orphan(self, order: OrderState, heartbeat: Heartbeat) -> None:
        record = self._orphan(order)
        event = {
            "event": "ORPHAN_ORDER",
            "symbol": record.symbol,
            "ts": str(self._clocks.redis_now_ms() // 1000),
            "client_order_id": record.client_order_id,
            "order_id": record.order_id or "",
            "order_status": record.status,
            "side": record.side,
            "position_side": record.leg.value,
            "filled_qty": plain(record.cumulative),
        }
        flat = tuple(text for pair in event.items() for text in pair)

        async def write(fence: FencingToken) -> tuple[OrphanReply, bool] | None:
            booked = await self._is_booked(order)
            hold = None if booked else _hold_of(order)
            reply = await self._store.record_orphan(fence, record, () if booked else flat, hold)
            return None if reply == "held" else (reply, booked)

        # The record ends the search for this order, and lets P3.4 take the hold over: they come together.
        reply, booked = await self._once_free(order, write, heartbeat)
        if reply == "recorded":
            if not booked:
                self._reports.orphan(record)
            await self._writer.audit("orphan", record, heartbeat, order_id=record.order_id or "")

    async def _is_booked(self, order: OrderState) -> bool:
        """Return True for an order that is over, and whose fills are all in the ledger already."""
        if not order.status.is_final:
            return False
        booked = await self._store.booked_growth(order.symbol, [order.order_id], [])
        stored = booked.memories.get(order.order_id)
        try:
            return stored is not None and decode_memory(stored).cumulative >= order.cumulative
        except UnreadableRecordError:
            return False

    async def _hold(self, order: OrderState, heartbeat: Heartbeat) -> None:
        """Hold the symbol for an order whose record cannot be read, as soon as no other holds it."""

        async def write(fence: FencingToken) -> bool | None:
            return await self._store.hold_symbol(fence, _hold_of(order)) or None

        await self._once_free(order, write, heartbeat)

    async def _once_free(
        self, order: OrderState, write: Callable[[FencingToken], Awaitable[T | None]], heartbeat: Heartbeat
    ) -> T:
        """Call `write` until it returns something: None says that another holds the order's symbol."""
        logged = False
        while (written := await self._writer.until_stored(write, heartbeat)) is None:
            if not logged:
                self._log.error(
                    f"{order.symbol}: ORPHAN ORDER client_order_id={order.client_order_id} "
                    f"order_id={order.order_id}: another holds the symbol",
                )
                logged = True
            with heartbeat.idle():
                await trio.sleep(_AGAIN_SEC)
        return written

    def _orphan(self, order: OrderState) -> OrderRecord:
        return OrderRecord(
            plan_id=PlanId(order.client_order_id),
            phase=OrderPhase.ORPHAN,
            symbol=order.symbol,
            side=order.side,
            leg=order.leg,
            kind="",
            quantity=order.cumulative,
            reduce_only=False,
            client_order_id=order.client_order_id,
            timestamp_ms=order.update_ms,
            recv_window_ms=0,
            decision="",
            action="",
            source="",
            instance=self._rules.instance,
            stream="",
            entry_id=EntryId(""),
            order_id=order.order_id,
            status=order.status.value,
            cumulative=order.cumulative,
            average_price=order.average_price,
        )


def _hold_of(order: OrderState) -> ExecutionHold:
    return ExecutionHold(
        symbol=order.symbol,
        plan_id=PlanId(order.client_order_id),
        client_order_id=order.client_order_id,
        reason=_REASON,
        ttl_ms=_HOLD_MS,
    )


def _is_zero(text: str | None) -> bool:
    try:
        return text is None or parse_decimal(text) == ZERO
    except NotANumberError:
        return False
