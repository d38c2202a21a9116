"""Orders in hand, and the only writer of their records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.executor.reports import ExecutorReports
from actors.waiting import RETRYABLE_REDIS_ERRORS, describe_error
from brain.execution import progress
from brain.execution.orders import OrderState
from brain.execution.record import OrderPhase, OrderRecord
from brain.execution.results import outcome_of, result_fields
from brain.identifiers import ClientOrderId, FencingToken, PlanId
from brain.numbers import plain
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.errors import (
    FencedError,
    StoreRefusedError,
    UnreadableOrderError,
    WrongRightsError,
    WrongTypeError,
)
from store.execution_protocol import ExecutorStore
from store.execution_records import OrderProgress
from supervision import Heartbeat

T = TypeVar("T")
_PAUSE_SEC = 0.1
#: A record that cannot be read is tried again so often (seconds).
_REPAIRED_SEC = 10.0


class LiveOrder:
    """An order in hand: the record as stored, and the record with all that is known of the order.

    `lacking`: the evidence that is missing for a proof that there is no such order. `held`: an own hold
    stands, or may stand. `hold_due_sec`: its next renewal (trio's clock).
    """

    def __init__(
        self, record: OrderRecord, *, safe_quantity: Decimal | None = None, waited_ms: int | None = None
    ) -> None:
        """`safe_quantity` and `waited_ms` are for results: the permitted quantity, and the wait."""
        self.stored = record
        self.known = record
        self.safe_quantity = safe_quantity
        self.waited_ms = waited_ms
        self.latency_ms: int | None = None
        self.since_sec = trio.current_time()
        self.held = False
        self.hold_due_sec = 0.0
        #: The latest source of knowledge: `answer`, `event`, `query` or `takeover`.
        self.source = "takeover"
        self.lacking: tuple[str, ...] = ()
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def behind(self) -> bool:
        """True while more is known than is stored."""
        return not self.stored.version or progress.changes(self.stored, self.known)

    @property
    def is_undecided(self) -> bool:
        """True while it is not known whether there is such an order."""
        return not progress.was_seen(self.known) and not self.known.phase.ended

    def show(self, order: OrderState, source: str) -> None:
        """Take in what the exchange shows of the order."""
        self.learn(progress.observe(self.known, order), source)

    def learn(self, known: OrderRecord, source: str) -> None:
        """Take in what is known by now."""
        if progress.changes(self.known, known):
            self.source = source
        self.known = known
        self._changed.unpark_all()

    def lose_record(self) -> None:
        """Take the record for evicted, deleted or lost: it is written anew, from what is known here."""
        self.stored = msgspec.structs.replace(self.stored, version=0)
        self._changed.unpark_all()

    async def changed(self) -> None:
        """Wait until more is known than is stored, or the stored record has ended."""
        while not self.behind and not self.stored.phase.ended:
            await self._changed.park()

    async def priced(self) -> None:
        """Wait until the order's average price is known."""
        while self.known.average_price is None:
            await self._changed.park()


class RecordWriter:
    """Writes the records of live orders, through outages of Redis and changes of the lease.

    Each write rests on the version before it. So a record that another process has moved meanwhile is read
    again, and what is known here is added to it.
    """

    def __init__(
        self,
        store: ExecutorStore,
        lease: LatestValue[Lease],
        live_orders: LiveOrders,
        reports: ExecutorReports,
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._live_orders = live_orders
        self._lease = lease
        self._reports = reports
        self._clocks = clocks
        self._log = log

    async def catch_up(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Store all that is known of an order, with a result for each growth and for its end."""
        announced: OrderRecord | None = None
        while live.behind:
            before, known = live.stored, live.known
            after = progress.next_version(before, known)
            due = progress.result_due(before, known)
            # Not again for what another process's version came before.
            if progress.is_late(before, known) and (announced is None or progress.changes(announced, after)):
                announced = after
                await self.event(_late(after, self._clocks.redis_now_ms() // 1000), heartbeat)
            step = OrderProgress(
                record=after,
                result=self._result(after, live) if due else (),
                cooldown_ms=self._executed_ms(before, after) if due else None,
                heir=self._live_orders.undecided_beside(live),
                audit=audit_fields(
                    "finish" if after.phase is OrderPhase.FINAL else live.source,
                    after,
                    source=live.source,
                    status=after.status,
                    cumulative=plain(after.cumulative),
                    error=after.error,
                    version=str(after.version),
                ),
            )

            async def write(fence: FencingToken, step: OrderProgress = step) -> bool:
                return await self._store.record_progress(fence, step)

            written = await self.until_stored(write, heartbeat)
            if not written:
                try:
                    stored = await self.read(after.plan_id, heartbeat)
                except UnreadableOrderError as error:
                    await self._unreadable(error, heartbeat)
                    continue
                written = stored == after  # by this call, whose first answer was lost
                if stored is None:
                    self._log.error("The record of an order is gone", plan_id=after.plan_id)
                    live.lose_record()
                elif not written:
                    live.stored = stored
                    live.learn(progress.merge(stored, live.known), "takeover")
            if written:
                self._written(live, after)
                if due:
                    self._reports.published(after, latency_ms=live.latency_ms)

    async def compare(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Take in what another process has written of an order; one that Redis has lost is written again."""
        try:
            stored = await self.read(live.stored.plan_id, heartbeat)
        except UnreadableOrderError as error:
            self._log.error("The record of an order cannot be read", error=str(error))
            return
        if stored is None and not live.stored.phase.ended:
            live.lose_record()
        elif stored is not None and stored.version > live.stored.version:
            live.stored = stored
            live.learn(progress.merge(stored, live.known), "takeover")

    async def read(self, plan_id: PlanId, heartbeat: Heartbeat) -> OrderRecord | None:
        """Read a record, as soon as Redis answers. Raises UnreadableOrderError."""

        async def read(_fence: FencingToken) -> OrderRecord | UnreadableOrderError | None:
            try:
                return await self._store.order_record(plan_id)
            except UnreadableOrderError as error:
                return error  # it lasts until an operator repairs the record

        stored = await self.until_stored(read, heartbeat)
        if isinstance(stored, UnreadableOrderError):
            raise stored
        return stored

    async def event(self, fields: Mapping[str, str], heartbeat: Heartbeat) -> None:
        """Append a reconcile event."""
        flat = tuple(text for pair in fields.items() for text in pair)
        await self.until_stored(lambda fence: self._store.emit_event(fence, flat), heartbeat)

    async def audit(self, step: str, record: OrderRecord, heartbeat: Heartbeat, **numbers: str) -> None:
        """Append a step that changes no record; no order waits until an operator has repaired the audit."""
        fields = audit_fields(step, record, **numbers)

        async def append(fence: FencingToken) -> None:
            try:
                await self._store.append_audit(fence, fields)
            except (WrongTypeError, WrongRightsError) as error:
                self._log.error("Not audited", step=step, plan_id=record.plan_id, error=str(error))

        await self.until_stored(append, heartbeat)

    async def until_stored(self, write: Callable[[FencingToken], Awaitable[T]], heartbeat: Heartbeat) -> T:
        """Call `write` until Redis answers it, under the lease of the moment. Each call is progress."""
        refused: FencingToken | None = None
        while True:
            heartbeat.beat()
            fence = None if self._lease.value is None else self._lease.value.fence
            if fence is None or fence == refused:
                with heartbeat.waiting_for("the lease, for an order's record"), trio.move_on_after(1.0):
                    await self._lease.changed()
                refused = None
                continue
            try:
                return await write(fence)
            except FencedError:
                refused = fence
            except (*RETRYABLE_REDIS_ERRORS, StoreRefusedError) as error:
                with heartbeat.waiting_for(describe_error(f"Redis at {self._store.address}", error)):
                    await trio.sleep(_PAUSE_SEC)

    async def _unreadable(self, error: UnreadableOrderError, heartbeat: Heartbeat) -> None:
        """Wait before a record is written again that an operator has to repair."""
        self._log.error("The record of an order cannot be read", error=str(error))
        with heartbeat.waiting_for(str(error)):
            await trio.sleep(_REPAIRED_SEC)

    def _written(self, live: LiveOrder, after: OrderRecord) -> None:
        live.stored = after
        live.known = msgspec.structs.replace(
            live.known, version=after.version, published_cumulative=after.published_cumulative
        )

    def _result(self, record: OrderRecord, live: LiveOrder) -> tuple[str, ...]:
        return result_fields(
            outcome_of(
                record,
                published_sec=self._clocks.redis_now_ms() // 1000,
                safe_quantity=live.safe_quantity,
                waited_ms=live.waited_ms,
                latency_ms=live.latency_ms,
            )
        )

    def _executed_ms(self, before: OrderRecord, after: OrderRecord) -> int | None:
        if after.cumulative <= before.cumulative:
            return None
        return self._clocks.redis_now_ms()


class LiveOrders:
    """Orders in hand, by their client order ids. Made with the actor, and ends with it."""

    def __init__(self) -> None:
        self._by_client_id: dict[ClientOrderId, LiveOrder] = {}

    def add(self, live: LiveOrder) -> LiveOrder:
        """Take an order in hand."""
        self._by_client_id[live.stored.client_order_id] = live
        return live

    def remove(self, live: LiveOrder) -> None:
        """Let go of an order: it is final, or was never begun."""
        self._by_client_id.pop(live.stored.client_order_id, None)

    def get(self, client_order_id: ClientOrderId) -> LiveOrder | None:
        """Return the order in hand of that id."""
        return self._by_client_id.get(client_order_id)

    def undecided_beside(self, live: LiveOrder) -> OrderRecord | None:
        """Return the record of another order of its symbol whose outcome is unknown."""
        for other in self._by_client_id.values():
            same_symbol = other.stored.symbol == live.stored.symbol
            if other is not live and same_symbol and other.known.phase is OrderPhase.UNKNOWN:
                return other.stored
        return None

    def all(self) -> list[LiveOrder]:
        """Return all orders in hand, oldest first."""
        return list(self._by_client_id.values())


def audit_fields(step: str, record: OrderRecord, **numbers: str) -> tuple[str, ...]:
    """Return a record of `executor.audit`, flat: its step, the order, and the step's own numbers."""
    fields = {
        "step": step,
        "plan_id": record.plan_id,
        "symbol": record.symbol,
        "client_order_id": record.client_order_id,
        **numbers,
    }
    return tuple(text for pair in fields.items() for text in pair)


def _late(record: OrderRecord, now_sec: int) -> dict[str, str]:
    return {
        "event": "EXECUTION_LATE",
        "symbol": record.symbol,
        "ts": str(now_sec),
        "plan_id": record.plan_id,
        "client_order_id": record.client_order_id,
        "order_id": record.order_id or "",
        "order_status": record.status,
        "filled_qty": plain(record.cumulative),
    }
