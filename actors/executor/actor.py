"""The executor: sends one order for each permitted plan, or none, and publishes what became of it."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from structlog.typing import FilteringBoundLogger

from actors.executor.live_orders import LiveOrder, LiveOrders, RecordWriter
from actors.executor.orders import Begun, OrderSender
from actors.executor.orphans import Orphans
from actors.executor.permits import PermitWatch
from actors.executor.plan_reader import PlanReader
from actors.executor.plan_work import PlanWork
from actors.executor.reports import ExecutorReports
from actors.executor.resolution import OrderResolver
from actors.executor.rules import ExecutorRules
from actors.stream_consumer import Session
from actors.waiting import RedisTrouble, lease_fence, present
from brain.execution import progress, reasons
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, PlanId, Symbol
from brain.plans.permit import Kind
from brain.symbols.allowlist import Allowlist
from brain.symbols.symbol_rules import SymbolRules
from channels import Conflating, LatestValue, Lease, OpenExecution, OwnOrderObserved
from clocks.clocks import Clocks
from exchange.protocol import OrderEntry
from store.execution_protocol import ExecutorStore
from supervision import Heartbeat

#: A stop waits so long for the answers to requests under way (seconds).
STOP_WITHIN_SEC = 2.0
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
        shown: LatestValue[tuple[OpenExecution, ...]],
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
        self._shown = shown
        self._symbol_rules = symbol_rules
        self._allowlist = allowlist
        self._lease = lease
        self._clocks = clocks
        self._rules = rules
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)
        self._log = log
        self._run_id: str | None = None
        self._searched_ms: int | None = None
        self._unreadable: list[tuple[PlanId, str]] = []
        work.on_begun, work.on_open = self._start, self._resume
        orphans.on_late = self._follow_late
        for reader in readers:
            reader.on_entry = work.take
            reader.on_begin = self._begin if reader is readers[0] else self._ready
            reader.on_sweep = self._sweep if reader is readers[0] else self._nothing

    async def run(self, heartbeat: Heartbeat) -> None:
        """Execute plans until asked to stop; answers under way are waited for up to 2 s."""
        async with trio.open_nursery() as self._orders:
            self._heartbeat = heartbeat
            self._orders.start_soon(self._end_in_time)
            self._orders.start_soon(self._watch.follow, heartbeat)
            if not self._rules.dry_run:
                self._orders.start_soon(self._exchange.keep_connected)
                self._orders.start_soon(self._listen)
            async with trio.open_nursery() as reading:
                for reader in self._readers[1:]:
                    reading.start_soon(self._read_beside, reader)
                await self._readers[0].run(heartbeat)
            await self._sender.nothing_under_way()
            self._orders.cancel_scope.cancel()

    async def _end_in_time(self) -> None:
        """End the actor 2 s after a stop began: the next one resolves what is still under way."""
        await self._heartbeat.stopping.wait()
        await trio.sleep(STOP_WITHIN_SEC)
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
        await self._ready(session)

    async def _ready(self, session: Session) -> None:
        """Wait for what no order can be sized without; plans that are published until then may expire."""
        await present(self._symbol_rules, "exchangeInfo", session.heartbeat)
        await present(self._allowlist, "the allowlist", session.heartbeat)

    async def _take_over(self, session: Session) -> None:
        opened = await self._store.open_orders()
        self._unreadable = [*opened.unreadable]
        for plan_id, error in opened.unreadable:
            self._log.error("The record of an order cannot be read", plan_id=plan_id, error=error)
        for record in opened.records:
            await self._resume(record, session.heartbeat)
        for live in self._live_orders.all():
            # Another process may have moved it, or ended it, while that held the lease.
            await self._writer.compare(live, session.heartbeat)
        self._show()

    async def _sweep(self, session: Session) -> None:
        """Learn if Redis is another run; write counts; show what is open."""
        await self._learn_run()
        if self._rules.dry_run:
            return
        if counts := self._reports.take_counts():
            await self._store.write_counts(session.fence, counts)
        if self._searched_ms != self._work.redis_changed_ms:
            self._searched_ms = self._work.redis_changed_ms
            self._orders.start_soon(self._search)
        self._show()

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

    def _show(self) -> None:
        now_ms = self._clocks.exchange_ms(self._clocks.now())
        live_orders = self._live_orders.all()
        undecided = [live for live in live_orders if live.is_undecided]
        shown = [
            OpenExecution(
                live.stored.plan_id,
                live.stored.symbol,
                live.stored.client_order_id,
                max(now_ms - live.stored.timestamp_ms, 0) / 1000,
                live.held,
                live.lacking,
            )
            for live in undecided
            if live.stored.phase is OrderPhase.UNKNOWN
        ]
        shown += [
            OpenExecution(plan_id, Symbol(""), ClientOrderId(""), 0.0, False, (f"its record: {why}",))
            for plan_id, why in self._unreadable
        ]
        self._shown.send(tuple(shown))
        self._reports.open_orders(
            len(live_orders),
            len(shown),
            max((each.age_sec for each in shown), default=0.0),
            self._exchange.order_counts(),
        )

    def _start(self, begun: Begun) -> None:
        """Send an order whose permits are consumed."""
        self._orders.start_soon(self._send, begun)

    async def _send(self, begun: Begun) -> None:
        with self._heartbeat.task() as task:
            await self._sender.send(begun, task)

    async def _resume(self, record: OrderRecord, heartbeat: Heartbeat) -> None:
        """Follow a record that another task, actor or process has begun and not ended."""
        if record.phase.ended or self._live_orders.get(record.client_order_id) is not None:
            return
        live = self._live_orders.add(LiveOrder(record))
        if record.kind == Kind.NONE.value:
            live.learn(progress.refuse(record, reasons.NOTHING_TO_EXECUTE), "takeover")
        elif record.plan_id in self._sender.never_sent:
            live.learn(progress.refuse(record, reasons.not_sent(_BEGIN_UNANSWERED)), "takeover")
        else:
            live.learn(progress.lose_track(record), "takeover")
        # A hold may stand from before the order was seen.
        live.held = not live.is_undecided
        if live.is_undecided:
            await self._resolver.hold(live, heartbeat)
            self._reports.unknown(record, "taken over")
        self._orders.start_soon(self._follow, live)

    def _follow_late(self, live: LiveOrder) -> None:
        self._orders.start_soon(self._follow, live)

    async def _follow(self, live: LiveOrder) -> None:
        with self._heartbeat.task() as task:
            await self._sender.follow(live, task)

    async def _search(self) -> None:
        with self._heartbeat.task() as task:
            await self._orphans.search(task)

    async def _listen(self) -> None:
        """Take in the orders that the private stream shows, while this instance holds the lease."""
        with self._heartbeat.task() as task:
            while True:
                await lease_fence(self._lease, task, self._trouble)
                with task.idle():
                    observed = await self._own_orders.receive_all()
                unknown = [each.order for each in observed if not self._in_hand(each)]
                for order in unknown:
                    await self._orphans.check(order, task)

    def _in_hand(self, observed: OwnOrderObserved) -> bool:
        """Show an order to its live order; return False where none is in hand."""
        live = self._live_orders.get(observed.order.client_order_id)
        if live is not None:
            live.show(observed.order, "event")
        return live is not None
