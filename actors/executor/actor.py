"""The executor: sends one order for each permitted plan, or none, and publishes what became of it."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from structlog.typing import FilteringBoundLogger

from actors.executor.live_orders import LiveOrder, LiveOrders, RecordWriter
from actors.executor.open_executions import OpenExecutions
from actors.executor.orders import Begun, OrderSender
from actors.executor.orphans import Orphans
from actors.executor.permits import PermitWatch
from actors.executor.plan_reader import PlanReader
from actors.executor.plan_work import PlanWork
from actors.executor.reports import ExecutorReports
from actors.executor.resolution import OrderResolver, hold_of_unreadable
from actors.executor.rules import ExecutorRules
from actors.stream_consumer import Session
from actors.waiting import RedisTrouble, lease_fence, present
from brain.execution import progress, reasons
from brain.execution.orders import OrderState
from brain.execution.record import OrderRecord
from brain.identifiers import FencingToken
from brain.plans.permit import Kind
from brain.symbols.allowlist import Allowlist
from brain.symbols.symbol_rules import SymbolRules
from channels import Conflating, LatestValue, Lease, OwnOrderObserved
from clocks.clocks import Clocks
from exchange.protocol import OrderEntry
from store.errors import FencedError, StoreError, StoreRefusedError, WrongRightsError
from store.execution_protocol import ExecutorStore
from supervision import Heartbeat

#: A stop waits so long for the answers to requests under way (seconds).
STOP_WITHIN_SEC = 2.0
#: While there is a record that cannot be read, all are read again so often (seconds).
_REPAIRED_SEC = 10.0
_BEGIN_UNANSWERED = "the begin of it was not answered"


class Executor:
    """Reads plans, waits for their permits, and follows each order until it is final.

    Records in Redis carry what must outlive it: an actor that begins anew takes over all that are not final.
    Orders are tasks of the actor, not of a session with Redis: an outage of Redis cancels no request.
    """

    def __init__(
        self,
        store: ExecutorStore,
        exchange: OrderEntry,
        *,
        readers: tuple[PlanReader, ...],
        work: PlanWork,
        watch: PermitWatch,
        sender: OrderSender,
        resolver: OrderResolver,
        live_orders: LiveOrders,
        writer: RecordWriter,
        reports: ExecutorReports,
        orphans: Orphans,
        own_orders: Conflating[OwnOrderObserved],
        open_executions: OpenExecutions,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        allowlist: LatestValue[Allowlist],
        lease: LatestValue[Lease],
        clocks: Clocks,
        rules: ExecutorRules,
        log: FilteringBoundLogger,
    ) -> None:
        """`readers`: of `apply.plan`, and of the manual lane where there is one."""
        self._store = store
        self._exchange = exchange
        self._readers = readers
        self._work = work
        self._watch = watch
        self._sender = sender
        self._resolver = resolver
        self._live_orders = live_orders
        self._writer = writer
        self._reports = reports
        self._orphans = orphans
        self._own_orders = own_orders
        self._open_executions = open_executions
        self._symbol_rules = symbol_rules
        self._allowlist = allowlist
        self._lease = lease
        self._clocks = clocks
        self._rules = rules
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)
        self._log = log
        self._run_id: str | None = None
        self._searched_ms: int | None = None
        #: The lease under which the open orders were taken over last.
        self._taken_over: FencingToken | None = None
        self._took_over = trio.lowlevel.ParkingLot()
        work.on_begun, work.on_open = self._start, self._resume
        orphans.on_late = work.on_lost = self._follow_late
        orphans.on_found = self._found
        for reader in readers:
            reader.on_entry = work.take
            reader.on_begin = self._begin if reader is readers[0] else self._begin_beside
            reader.on_sweep = self._sweep if reader is readers[0] else self._nothing

    async def run(self, heartbeat: Heartbeat) -> None:
        """Execute plans until asked to stop; answers under way are waited for up to 2 s."""
        async with trio.open_nursery() as self._orders:
            self._heartbeat = self._reading = heartbeat
            self._orders.start_soon(self._end_in_time)
            self._orders.start_soon(self._watch.follow, heartbeat)
            if not self._rules.dry_run:
                self._orders.start_soon(self._exchange.keep_connected)
                self._orders.start_soon(self._listen)
                self._orders.start_soon(self._open_executions.follow_lease, heartbeat)
            async with trio.open_nursery() as reading:
                for reader in self._readers[1:]:
                    reading.start_soon(self._read_beside, reader)
                # Its wait for Redis is not the actor's: that would be cancelled at once, with its requests.
                with heartbeat.idle(), heartbeat.task() as self._reading:
                    await self._readers[0].run(self._reading)
            await self._sender.nothing_under_way()
            self._orders.cancel_scope.cancel()

    async def _end_in_time(self) -> None:
        """End the actor 2 s after a stop began: the next one resolves what is still under way.

        It ends with the last answer where the reader waits for Redis or the lease.
        """
        await self._heartbeat.stopping.wait()
        with trio.move_on_after(STOP_WITHIN_SEC):
            if self._reading.awaiting:
                await self._sender.nothing_under_way()
            else:
                await trio.sleep_forever()
        self._orders.cancel_scope.cancel()

    async def _read_beside(self, reader: PlanReader) -> None:
        with self._heartbeat.task() as task:
            await reader.run(task)

    async def _nothing(self, _session: Session) -> None:
        """Do nothing: the first reader's session does it."""

    async def _begin(self, session: Session) -> None:
        """Take over the orders that are not final, and hold the symbols of those that are undecided."""
        await self._learn_run()
        if not self._rules.dry_run:
            await self._take_over(session)
        self._taken_over = session.fence
        self._took_over.unpark_all()
        await self._ready(session)

    async def _begin_beside(self, session: Session) -> None:
        """Wait until the first reader has compared Redis's run and taken over, under the same lease."""
        with session.heartbeat.waiting_for("the open orders, taken over by the first reader"):
            while self._taken_over != session.fence:
                if self._lease.value is None or self._lease.value.fence != session.fence:
                    raise FencedError("the lease has changed")
                await self._took_over.park()
        await self._ready(session)

    async def _ready(self, session: Session) -> None:
        """Wait for what no order can be sized without; plans that are published until then may expire."""
        await present(self._symbol_rules, "exchangeInfo", session.heartbeat)
        await present(self._allowlist, "the allowlist", session.heartbeat)

    async def _take_over(self, session: Session) -> None:
        opened = await self._store.open_orders()
        self._open_executions.unreadable = [*opened.unreadable]
        self._repaired_sec = trio.current_time() + _REPAIRED_SEC
        for each in opened.unreadable:
            self._log.error("The record of an order cannot be read", plan_id=each.plan_id, error=each.why)
            hold = hold_of_unreadable(each.plan_id, each.symbol, self._rules)
            if hold is not None:
                await self._store.hold_symbol(session.fence, hold)
        for record in opened.records:
            await self._resume(record, session.heartbeat)
        await self._compare(session.heartbeat)
        self._open_executions.show()

    async def _compare(self, heartbeat: Heartbeat) -> None:
        """Compare orders in hand with their records, which another process has moved, or Redis has lost."""
        for live in self._live_orders.all():
            await self._writer.compare(live, heartbeat)

    async def _sweep(self, session: Session) -> None:
        """Learn if Redis is another run; write counts; show what is open."""
        await self._learn_run()
        if self._rules.dry_run:
            return
        await self._write_counts(session)
        if self._open_executions.unreadable and trio.current_time() >= self._repaired_sec:
            await self._take_over(session)
        if self._searched_ms != self._work.redis_changed_ms:
            self._searched_ms = self._work.redis_changed_ms
            self._orders.start_soon(self._search)
        self._open_executions.show()

    async def _write_counts(self, session: Session) -> None:
        """Write the counts since the last time, which end no session: their key concerns no order."""
        counts = self._reports.take_counts()
        try:
            if counts:
                await self._store.write_counts(session.fence, counts)
        except StoreError as error:
            self._reports.put_back(counts, error)
            if not isinstance(error, WrongRightsError | StoreRefusedError):
                raise

    async def _learn_run(self) -> None:
        """Learn Redis's clock, and whether it is the same run of Redis."""
        sent = self._clocks.now()
        run = await self._store.execution_run(self._run_id)
        self._clocks.redis.observe(run.now_ms, sent, self._clocks.now())
        if run.run_id != self._run_id:
            for reader in self._readers:
                reader.times.forget()
        self._run_id = run.run_id
        self._work.redis_changed_ms = run.changed_ms

    def _start(self, begun: Begun) -> None:
        """Send an order whose permits are consumed."""
        self._orders.start_soon(self._send, begun)

    async def _send(self, begun: Begun) -> None:
        with self._heartbeat.task() as task:
            await self._sender.send(begun, task)

    async def _resume(self, record: OrderRecord, heartbeat: Heartbeat) -> None:
        """Follow a record that another task, actor or process has begun and not ended."""
        if record.phase.ended:
            return
        known = self._live_orders.get(record.client_order_id)
        if known is not None:
            await self._resolver.hold(known, heartbeat)  # which Redis may have lost
            return
        live = self._live_orders.add(LiveOrder(record))
        if record.kind == Kind.NONE.value:
            live.learn(progress.refuse(record, reasons.NOTHING_TO_EXECUTE), "takeover")
        elif self._sender.never_sent(record):
            live.learn(progress.refuse(record, reasons.not_sent(_BEGIN_UNANSWERED)), "takeover")
        else:
            live.learn(progress.lose_track(record), "takeover")
        # A hold may stand from before the order was seen.
        live.held = not live.is_undecided
        # Before the hold: an error of a sibling ends the session, and with it this call.
        self._orders.start_soon(self._follow, live)
        if live.is_undecided:
            self._reports.unknown(record, "taken over")
            await self._resolver.hold(live, heartbeat)

    def _follow_late(self, live: LiveOrder) -> None:
        self._orders.start_soon(self._follow, live)

    async def _follow(self, live: LiveOrder) -> None:
        with self._heartbeat.task() as task:
            await self._sender.follow(live, task)

    async def _search(self) -> None:
        with self._heartbeat.task() as task:
            await self._compare(task)
            await self._orphans.search(task)

    def _found(self, order: OrderState) -> None:
        self._orders.start_soon(self._check, order)

    async def _check(self, order: OrderState) -> None:
        with self._heartbeat.task() as task:
            await self._orphans.check(order, task)

    async def _listen(self) -> None:
        """Take in the orders that the private stream shows, while this instance holds the lease."""
        with self._heartbeat.task() as task:
            while True:
                await lease_fence(self._lease, task, self._trouble)
                with task.idle():
                    observed = await self._own_orders.receive_all()
                for each in observed:
                    if not self._in_hand(each):
                        self._found(each.order)

    def _in_hand(self, observed: OwnOrderObserved) -> bool:
        """Show an order to its live order; return False where none is in hand."""
        live = self._live_orders.get(observed.order.client_order_id)
        if live is not None:
            live.show(observed.order, "event")
        return live is not None
