"""Begins, sends and finishes the one order of a granted plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import trio

from actors.executor.live_orders import LiveOrder, LiveOrders, RecordWriter, audit_fields
from actors.executor.plans import GrantedPlan, PlanInHand, RefusedPlan, TakenPlan
from actors.executor.preparation import OrderPreparation, request_of
from actors.executor.reports import ExecutorReports
from actors.executor.resolution import OrderResolver
from actors.executor.rules import ExecutorRules
from brain.execution import progress, reasons
from brain.execution.draft_record import record_text
from brain.execution.drafting import Drafted, OrderDraft
from brain.execution.orders import Accepted, NotSent, OrderOutcome, Refused, Unknown
from brain.execution.record import OrderRecord
from brain.identifiers import FencingToken, PlanId, Symbol
from brain.numbers import plain
from brain.plans.permit import Kind
from brain.plans.plan import PlanDecision
from brain.positions.position import Leg
from exchange.protocol import OrderEntry
from permit_gate.judging import PlanPermits
from store.execution_protocol import ExecutorStore
from store.execution_records import BeginReply, OrderBegin
from supervision import Heartbeat

#: An average price that the stream has not shown is waited for so long before a result (seconds).
_PRICE_WITHIN_SEC = 0.05
_TOO_LATE = "permit_timeout (too late to begin)"


class LookAgain(NamedTuple):
    """Change of what the begin rested on: permits and switches must be read again."""


class Attempt(NamedTuple):
    """One call to begin an order: two processes that try the same plan differ in it."""

    plan_id: PlanId
    instance: str
    timestamp_ms: int


class Begun(NamedTuple):
    """The permits are consumed, and the record stands. Its turn ends with `turn`."""

    granted: GrantedPlan
    live: LiveOrder
    turn: ExitStack


class OrderSender:
    """Part of the executor: one order of a symbol and leg at a time, `max_parallel` in all.

    `may_begin` is asked last, with no wait behind it but the begin's.
    """

    may_begin: Callable[[PlanInHand], bool]

    def __init__(
        self,
        store: ExecutorStore,
        exchange: OrderEntry,
        preparation: OrderPreparation,
        live_orders: LiveOrders,
        writer: RecordWriter,
        resolver: OrderResolver,
        reports: ExecutorReports,
        *,
        rules: ExecutorRules,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._preparation = preparation
        self._live_orders = live_orders
        self._writer = writer
        self._resolver = resolver
        self._reports = reports
        self._rules = rules
        self._parallel = trio.Semaphore(rules.max_parallel)
        self._lanes: dict[tuple[Symbol, Leg], trio.Semaphore] = {}
        self._under_way = 0
        self._all_answered = trio.lowlevel.ParkingLot()
        #: Attempts that were not answered by `begun`: if a record is of one, no request of it was sent.
        self._unsent: set[Attempt] = set()

    async def begin(
        self, granted: GrantedPlan, fence: FencingToken, stopping: trio.Event
    ) -> Begun | RefusedPlan | LookAgain | TakenPlan | None:
        """Consume the permits and write the record, when it is the plan's turn; None: a stop came first."""
        planned = self._preparation.draft(granted)
        if planned.order is None:
            return RefusedPlan(planned.error, granted.waited_ms, planned)
        with ExitStack() as turn, ExitStack() as unsent:
            drafted: Drafted | str = _TOO_LATE
            with trio.move_on_at(granted.in_hand.deadline_sec):
                drafted = await self._draft_in_turn(granted, planned, planned.order, turn)
            if isinstance(drafted, str):
                return RefusedPlan(drafted, granted.waited_ms)
            draft = drafted.order
            if draft is None:
                return RefusedPlan(drafted.error, granted.waited_ms, drafted)
            if stopping.is_set():
                return None
            record = self._preparation.record(granted.in_hand, granted.plan, draft)
            if self._live_orders.get(record.client_order_id) is not None:
                return TakenPlan(self._rules.instance, granted.waited_ms)
            if not self.may_begin(granted.in_hand):
                return LookAgain()
            if draft.kind is not Kind.NONE:
                busy_until = self._exchange.reserve_order(closing=draft.kind is Kind.CLOSE)
                if busy_until is not None:
                    return RefusedPlan(reasons.ORDER_RATE_LIMIT, granted.waited_ms)
                unsent.callback(self._exchange.return_order)
            live = LiveOrder(record, safe_quantity=draft.permitted, waited_ms=granted.waited_ms)
            # Before the record stands: events of the order must find it in hand.
            self._live_orders.add(live)
            unsent.callback(self._live_orders.remove, live)
            reply = await self._write_begin(granted, live.stored, drafted, fence)
            if reply.verdict == "begun":
                unsent.pop_all()
                self._reports.begun(granted, record, granted.in_hand.published_ms)
                return Begun(granted, live, turn.pop_all())
            return self._not_begun(granted, reply)

    async def _draft_in_turn(
        self, granted: GrantedPlan, planned: Drafted, order: OrderDraft, turn: ExitStack
    ) -> Drafted | str:
        """Return the draft when the orders before it are over, or the reason why its leverage is refused."""
        drafted = planned
        if await self._take_turn(granted.plan.symbol, order.leg, turn):
            drafted = self._preparation.draft(granted)
        if drafted.order is None:
            return drafted
        return await self._preparation.set_leverage(granted, drafted.order) or drafted

    async def send(self, begun: Begun, heartbeat: Heartbeat) -> None:
        """Send the order, once, and write and publish what comes of it; ends when it is final."""
        live = begun.live
        with begun.turn, self._counted():
            record = live.stored
            if record.kind == Kind.NONE.value:
                self._reports.granted(begun.granted)
                live.learn(progress.refuse(record, reasons.NOTHING_TO_EXECUTE), "answer")
            else:
                await self._place(begun.granted, live, heartbeat)
            if live.is_undecided:
                await self._resolver.hold(live, heartbeat)
            await self._resolver.catch_up(live, heartbeat)
        await self.follow(live, heartbeat)

    def never_sent(self, record: OrderRecord) -> bool:
        """Return True if this process wrote the record and, for want of an answer, sent no request for it."""
        return _attempt(record) in self._unsent

    async def nothing_under_way(self) -> None:
        """Wait until every order that was begun is written with its answer."""
        while self._under_way:
            await self._all_answered.park()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._all_answered.unpark_all()

    async def follow(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Follow an order until it is final, and let go of it."""
        await self._resolver.follow(live, heartbeat)
        self._live_orders.remove(live)

    async def _take_turn(self, symbol: Symbol, leg: Leg, turn: ExitStack) -> bool:
        """Take the turn of an order of the symbol and leg; return True where it was waited for."""
        waited = False
        lane = self._lanes.setdefault((symbol, leg), trio.Semaphore(1))
        for semaphore in (lane, self._parallel):
            try:
                semaphore.acquire_nowait()
            except trio.WouldBlock:
                await semaphore.acquire()
                waited = True
            turn.callback(semaphore.release)
        return waited

    async def _write_begin(
        self, granted: GrantedPlan, record: OrderRecord, drafted: Drafted, fence: FencingToken
    ) -> BeginReply:
        in_hand = granted.in_hand
        begin = OrderBegin(
            record=record,
            permits=granted.permits,
            permit_max_age_ms=round(self._rules.gate.max_age_sec * 1000),
            deadline_ms=in_hand.deadline_ms,
            published_ms=in_hand.published_ms,
            plan_max_age_ms=self._rules.plan_max_age_ms + self._rules.permit_wait_ms,
            ignores_hold=granted.plan.decision is PlanDecision.RECONCILE_CLOSE,
            switches=granted.look.switches,
            consumer=self._rules.instance,
            audit=_begin_audit(granted, record, drafted),
        )
        # Without an answer the record may stand, and `exists` may mean that very record.
        self._unsent.add(_attempt(record))
        reply = await self._store.begin_order(fence, begin)
        if reply.verdict != "exists":
            self._unsent.discard(_attempt(record))
        return reply

    def _not_begun(self, granted: GrantedPlan, reply: BeginReply) -> RefusedPlan | LookAgain | TakenPlan:
        in_hand = granted.in_hand
        wanted = PlanPermits(
            in_hand.plan_id, in_hand.symbol, self._rules.sources_of(in_hand.decision), self._rules.gate
        )
        match reply.verdict:
            case "exists":
                return TakenPlan(reply.value, granted.waited_ms)
            case "expired":
                error = reasons.PLAN_EXPIRED
            case "late":
                error = _TOO_LATE
            case "too_old":
                error = str(wanted.too_old(int(reply.value or 0), wanted.sources[reply.permit]))
            case "from_the_future":
                error = str(wanted.from_the_future(int(reply.value or 0), wanted.sources[reply.permit]))
            case "hold":
                error = reasons.RECONCILE_HOLD_ACTIVE
            case _:
                return LookAgain()
        return RefusedPlan(error, granted.waited_ms)

    async def _place(self, granted: GrantedPlan, live: LiveOrder, heartbeat: Heartbeat) -> None:
        begun_sec = trio.current_time()
        try:
            with heartbeat.idle():
                outcome = await self._exchange.place_order(request_of(live.stored))
            seconds = trio.current_time() - begun_sec
        finally:
            # Behind the request, which a line of the log would keep back by a tenth of a millisecond.
            self._reports.granted(granted)
        live.latency_ms = round(seconds * 1000)
        self._reports.answered(live.stored, outcome, seconds)
        self._apply(live, outcome)
        if isinstance(outcome, Unknown):
            self._reports.unknown(live.stored, outcome.why)
            await self._writer.audit("answer", live.stored, heartbeat, answer=f"unknown: {outcome.why}"[:200])
        elif live.known.phase.ended and progress.was_seen(live.known):
            with heartbeat.idle(), trio.move_on_after(_PRICE_WITHIN_SEC):
                await live.priced()

    def _apply(self, live: LiveOrder, outcome: OrderOutcome) -> None:
        match outcome:
            case Accepted(order):
                live.show(order, "answer")
            case NotSent(why):
                live.learn(progress.refuse(live.known, reasons.not_sent(why)), "answer")
            case Refused(error):
                live.learn(progress.refuse(live.known, error), "answer")
            case Unknown():
                error = outcome.error if outcome.refused_unless_found else ""
                live.learn(progress.lose_track(live.known, error), "answer")


def _attempt(record: OrderRecord) -> Attempt:
    return Attempt(record.plan_id, record.instance, record.timestamp_ms)


def _begin_audit(granted: GrantedPlan, record: OrderRecord, drafted: Drafted) -> tuple[str, ...]:
    permits = {
        f"permit:{issuer}": text.decode(errors="backslashreplace")
        for issuer, (_, text, _) in zip(granted.issuers, granted.permits, strict=True)
    }
    fields = audit_fields(
        "begin",
        record,
        side=record.side,
        leg=record.leg.value,
        kind=record.kind,
        quantity=plain(record.quantity),
        reduce_only=str(record.reduce_only).lower(),
        timestamp_ms=str(record.timestamp_ms),
        recv_window_ms=str(record.recv_window_ms),
        waited_ms=str(granted.waited_ms),
        **permits,
    )
    return (*fields, "record", record_text(drafted))
