"""Work on plans: from the entry of the stream to an order, or to the result that ends it without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeGuard

import trio
from structlog.typing import FilteringBoundLogger

from actors.executor.live_orders import LiveOrder, LiveOrders
from actors.executor.orders import Begun, LookAgain, OrderSender
from actors.executor.permits import PermitWaits
from actors.executor.plan_reader import PlanReader
from actors.executor.plans import GrantedPlan, PlanInHand, RefusedPlan, TakenPlan
from actors.executor.preparation import OrderPreparation
from actors.executor.refusals import PlanRefusals
from actors.executor.reports import ExecutorReports
from actors.executor.resolution import hold_of_unreadable
from actors.executor.rules import ExecutorRules
from actors.stream_consumer import MOST_FAILURES, Session
from brain.decisions.dead_letter import dead_letter
from brain.execution import progress, reasons
from brain.execution.orders import client_order_id
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import EntryId, PlanId, Symbol
from brain.plans.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from brain.plans.plan_fields import read_plan
from clocks.clocks import Clocks
from permit_gate.answers import Refusal
from permit_gate.judging import PlanPermits
from store.errors import UnreadableOrderError, WrongTypeError
from store.execution_protocol import ExecutorStore
from store.records import Entry
from supervision import Heartbeat

_MOST_ATTEMPTS = 5
_CONTENDED = "state_contended"
#: Plans in hand at once: each looks for its permits every 250 ms at least.
_MOST_IN_HAND = 2_000


class PlanWork:
    """Part of the executor: one task a plan. Plans that wait do not hold up those behind them."""

    on_begun: Callable[[Begun], None]
    on_open: Callable[[OrderRecord, Heartbeat], Awaitable[None]]
    on_lost: Callable[[LiveOrder], None]

    def __init__(
        self,
        store: ExecutorStore,
        waits: PermitWaits,
        preparation: OrderPreparation,
        sender: OrderSender,
        refusals: PlanRefusals,
        live_orders: LiveOrders,
        reports: ExecutorReports,
        *,
        manual_stream: str | None,
        clocks: Clocks,
        rules: ExecutorRules,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._waits = waits
        self._preparation = preparation
        self._sender = sender
        self._refusals = refusals
        self._live_orders = live_orders
        self._reports = reports
        self._manual_stream = manual_stream
        self._clocks = clocks
        self._rules = rules
        self._log = log
        self._in_hand: set[PlanId] = set()
        sender.may_begin = self._may_begin
        self._room = trio.Semaphore(_MOST_IN_HAND)
        #: When Redis was found to be another run (Redis's clock, ms); 0: never.
        self.redis_changed_ms = 0

    async def take(self, reader: PlanReader, entry: Entry, session: Session) -> None:
        """Begin to work on an entry, unless its plan is in hand already: then it stays pending."""
        plan = None if entry.fields is None else read_plan(entry.fields)
        if plan is None or isinstance(plan, UnanswerablePlan):
            await reader.group.acknowledge(session.fence, [entry.id])
            if plan is not None:
                self._log.warning("Plan without a usable id", entry_id=entry.id, error=plan.error)
            return
        plan_id = plan.plan_id
        order_id = client_order_id(self._rules.gate.prefix, plan_id)
        if plan_id in self._in_hand or self._live_orders.get(order_id) is not None:
            return
        self._in_hand.add(plan_id)
        try:
            await self._room.acquire()
        except trio.Cancelled:
            self._in_hand.discard(plan_id)
            raise
        session.unfinished.start_soon(self._work_on, reader, entry, plan, session)

    async def _work_on(
        self, reader: PlanReader, entry: Entry, plan: Plan | MalformedPlan | SkippedPlan, session: Session
    ) -> None:
        try:
            with session.heartbeat.task() as task, task.idle():
                failed = reader.failures.of(entry.id, entry.deliveries)
                with reader.failures.attributed_to((entry.id,)):
                    await self._deal_with(reader, entry, plan, session, failed)
                reader.failures.done(entry.id)
        finally:
            self._in_hand.discard(plan.plan_id)
            self._room.release()

    async def _deal_with(
        self,
        reader: PlanReader,
        entry: Entry,
        plan: Plan | MalformedPlan | SkippedPlan,
        session: Session,
        failed: int,
    ) -> None:
        try:
            if self._may_be_lost(plan, entry):
                manual = reader.group.stream == self._manual_stream
                self._reports.processed(plan.decision.value, manual=manual)
                await self._search_for(reader, entry, plan, session)
            elif failed >= MOST_FAILURES and await self._is_poison(plan.plan_id):
                await self._set_aside(reader, entry, plan, session, failed)
            else:
                await self._answer(reader, entry, plan, session)
        except (UnreadableOrderError, WrongTypeError):
            # Another key of a wrong type concerns all plans.
            if not await self._is_unreadable(plan, session):
                raise

    async def _is_unreadable(self, plan: Plan | MalformedPlan | SkippedPlan, session: Session) -> bool:
        """Return True for a record that an operator has to repair: its entry stays pending until then."""
        try:
            await self._store.order_record(plan.plan_id)
        except UnreadableOrderError as error:
            self._log.error("The record of an order cannot be read", plan_id=plan.plan_id, error=str(error))
            symbol = None if isinstance(plan, SkippedPlan) else plan.symbol
            hold = hold_of_unreadable(plan.plan_id, error.symbol or symbol, self._rules)
            if hold is not None and not self._rules.dry_run:
                await self._store.hold_symbol(session.fence, hold)
            return True
        return False

    def _may_be_lost(self, plan: Plan | MalformedPlan | SkippedPlan, entry: Entry) -> TypeGuard[Plan]:
        """Return True for a plan from before a new run of Redis, which may have lost its begin."""
        if not isinstance(plan, Plan) or self._rules.dry_run or entry.published_ms is None:
            return False
        return self._is_recovering(entry.published_ms) and self._preparation.knows(plan.symbol)

    def _may_begin(self, in_hand: PlanInHand) -> bool:
        """Return False for a plan from before a run of Redis that was found while it waited."""
        return not self._is_recovering(in_hand.published_ms)

    def _is_recovering(self, published_ms: int) -> bool:
        return 0 < self.redis_changed_ms >= published_ms

    async def _search_for(self, reader: PlanReader, entry: Entry, plan: Plan, session: Session) -> None:
        """Take the order of such a plan in hand as unknown: only evidence ends it, as `recovering`."""
        in_hand = self._plan_in_hand(reader, entry, plan)
        if await self._store.order_record(plan.plan_id) is not None:
            await self._taken(reader, in_hand, TakenPlan("", 0), session)
            return
        since_ms = self._clocks.redis_now_ms() - in_hand.published_ms
        record = self._preparation.lost(in_hand, plan, since_ms)
        live = self._live_orders.add(LiveOrder(record))
        live.learn(progress.lose_track(record, reasons.RECOVERING), "takeover")
        self._reports.unknown(record, reasons.RECOVERING)
        self.on_lost(live)

    async def _is_poison(self, plan_id: PlanId) -> bool:
        """Return True if no order was begun: an entry whose order is open is delivered again and again."""
        return await self._store.order_record(plan_id) is None

    async def _set_aside(
        self,
        reader: PlanReader,
        entry: Entry,
        plan: Plan | MalformedPlan | SkippedPlan,
        session: Session,
        failed: int,
    ) -> None:
        error = f"{reasons.EVALUATION_FAILED}: executing it has failed {failed} times"
        letter = dead_letter(entry.fields or {}, entry_id=entry.id, error=error)
        if isinstance(plan, SkippedPlan):
            stream = reader.group.stream
            await self._refusals.skip(
                plan, entry, stream, reasons.EVALUATION_FAILED, session.fence, dead_fields=letter
            )
        else:
            in_hand = self._plan_in_hand(reader, entry, plan)
            refused = RefusedPlan(reasons.EVALUATION_FAILED, 0)
            await self._refusals.refuse(in_hand, refused, session.fence, dead_fields=letter)

    async def _answer(
        self, reader: PlanReader, entry: Entry, plan: Plan | MalformedPlan | SkippedPlan, session: Session
    ) -> None:
        manual = reader.group.stream == self._manual_stream
        if isinstance(plan, SkippedPlan):
            self._reports.processed(plan.decision, manual=manual)
            error = reasons.skipped(entry.fields or {}, plan.decision)
            if not await self._refusals.skip(plan, entry, reader.group.stream, error, session.fence):
                await self._leave(reader, plan.plan_id, entry.id, session)
            return
        in_hand = self._plan_in_hand(reader, entry, plan)
        self._reports.processed(in_hand.decision.value, manual=manual)
        refused = self._refused_at_once(entry, plan)
        if refused is not None:
            await self._refuse(reader, in_hand, RefusedPlan(refused, 0), session)
            return
        for _ in range(_MOST_ATTEMPTS):
            if not await self._try(reader, in_hand, session):
                return
            if self._may_be_lost(plan, entry):
                await self._search_for(reader, entry, plan, session)
                return
        await self._refuse(reader, in_hand, RefusedPlan(_CONTENDED, 0), session)

    def _refused_at_once(self, entry: Entry, plan: Plan | MalformedPlan) -> str | None:
        """Return the reason to refuse a plan before its permits are awaited."""
        if plan.symbol is None:
            return reasons.MALFORMED_PLAN
        published_ms = entry.published_ms
        if published_ms is None:
            return reasons.PLAN_EXPIRED
        if self._clocks.redis_now_ms() - published_ms > self._rules.plan_max_age_ms:
            return reasons.PLAN_EXPIRED
        return reasons.RECOVERING if self._is_recovering(published_ms) else None

    async def _try(self, reader: PlanReader, in_hand: PlanInHand, session: Session) -> bool:
        """Wait for permits and begin the order, or end the plan; True where it must be tried again."""
        stopping = session.heartbeat.stopping
        answer = await self._waits.wait(in_hand, stopping)
        if isinstance(answer, GrantedPlan):
            if self._rules.dry_run:
                await self._dry_run(answer, session)
                return False
            step = await self._sender.begin(answer, session.fence, stopping)
            if isinstance(step, LookAgain):
                return True
            if isinstance(step, Begun):
                self.on_begun(step)
                return False
            answer = step
        if isinstance(answer, RefusedPlan):
            await self._refuse(reader, in_hand, answer, session)
        elif isinstance(answer, TakenPlan):
            await self._taken(reader, in_hand, answer, session)
        return False

    async def _dry_run(self, granted: GrantedPlan, session: Session) -> None:
        drafted = self._preparation.draft(granted)
        if drafted.order is None:
            refused = RefusedPlan(drafted.error, granted.waited_ms, drafted)
            await self._refusals.refuse(granted.in_hand, refused, session.fence)
        else:
            await self._refusals.show_dry_run(granted, drafted, drafted.order, session.fence)

    async def _taken(
        self, reader: PlanReader, in_hand: PlanInHand, taken: TakenPlan, session: Session
    ) -> None:
        """Leave a plan to the record that it has; refuse one whose permits another consumer has."""
        if not await self._leave(reader, in_hand.plan_id, in_hand.entry_id, session):
            plan = PlanPermits(
                in_hand.plan_id, in_hand.symbol, self._rules.sources_of(in_hand.decision), self._rules.gate
            )
            by = plan.refused(Refusal.PERMIT_ALREADY_CONSUMED, because=f"by {taken.by[:80]}")
            await self._refusals.refuse(in_hand, RefusedPlan(str(by), taken.waited_ms), session.fence)

    async def _leave(self, reader: PlanReader, plan_id: PlanId, entry_id: EntryId, session: Session) -> bool:
        """Leave a plan to the record that it has: it ends with that. Return False where there is none."""
        if self._rules.dry_run:
            return False
        record = await self._store.order_record(plan_id)
        if record is None:
            # Redis may have lost it, and the order was found without one.
            found = await self._store.plan_of(client_order_id(self._rules.gate.prefix, plan_id))
            record = None if found is None else await self._store.order_record(found)
        if record is None:
            return False
        if record.phase is OrderPhase.FINAL or record.entry_id != entry_id:
            self._log.info(f"{record.symbol}: {reasons.DUPLICATE_PLAN}", plan_id=plan_id)
            await reader.group.acknowledge(session.fence, [entry_id])
        await self.on_open(record, session.heartbeat)
        return True

    async def _refuse(
        self, reader: PlanReader, in_hand: PlanInHand, refused: RefusedPlan, session: Session
    ) -> None:
        """End a plan without an order, or leave it to the record that it has."""
        if not await self._refusals.refuse(in_hand, refused, session.fence):
            await self._leave(reader, in_hand.plan_id, in_hand.entry_id, session)

    def _plan_in_hand(self, reader: PlanReader, entry: Entry, plan: Plan | MalformedPlan) -> PlanInHand:
        now_sec = trio.current_time()
        return PlanInHand(
            entry_id=entry.id,
            stream=reader.group.stream,
            fields=entry.fields or {},
            plan=plan,
            symbol=plan.symbol or Symbol(""),
            published_ms=entry.published_ms or 0,
            read_sec=now_sec,
            deadline_sec=now_sec + self._rules.permit_wait_ms / 1000,
            deadline_ms=self._clocks.redis_now_ms() + self._rules.permit_wait_ms,
            manual=reader.group.stream == self._manual_stream,
        )
