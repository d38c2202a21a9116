"""Follows the orders whose outcome is unknown: books what the exchange's events show of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.booking import BookingPlan, plan_booking
from actors.ledger_writer.contained_fills import ContainedFills
from brain.ledger.booking import UnreadableRecordError, decode_open_permit
from brain.ledger.fill_memory import FillMemory
from brain.ledger.order_events import OrderEvent
from brain.ledger.result import ExecutedResult
from brain.ledger.unknown_outcomes import UnknownOutcome, client_order_id_of, decode_unknown
from brain.numbers import plain
from channels import LatestValue, ResultBook, UnknownExecution
from clocks.clocks import Clocks
from store.errors import StoreRefusedError
from store.protocol import ResultStore
from store.records import BookingState, Entry, ResultCommit
from supervision import Heartbeat

_LOOK_EVERY_SEC = 1.0
#: An event is looked for so long before the decision: a round trip. No order was sent before it, and an event
#: that is passed over costs no more than the wait for the grace.
_MARGIN_SEC = 0.5

Report = Callable[[Entry, BookingPlan, ExecutedResult, int], None]


class UnknownOutcomes:
    """Part of the ledger writer. Redis holds the state; this keeps a copy of it while there is any.

    An event belongs to a plan by its client order id (the chain's, or the one that the result named) or by
    its order id. Nothing else links them: a fill that only looks like it may be another's.
    """

    def __init__(
        self,
        store: ResultStore,
        memory: FillMemory,
        contained: ContainedFills,
        *,
        key_prefix: str,
        shown: LatestValue[tuple[UnknownExecution, ...]],
        results: ResultBook,
        hedge_mode: Callable[[], bool],
        reservation_life_sec: float,
        mark_ttl_ms: int,
        report: Report,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        """`reservation_life_sec`: from a decision to the end of its open permit. `report` is called with
        each booking and Redis's clock (ms)."""
        self._store = store
        self._memory = memory
        self._contained = contained
        self._key_prefix = key_prefix
        self._shown = shown
        self._results = results
        self._hedge_mode = hedge_mode
        self._reservation_life_sec = reservation_life_sec
        self._mark_ttl_ms = mark_ttl_ms
        self._report = report
        self._clocks = clocks
        self._log = log
        self._numbers = count()
        self._known: dict[str, UnknownOutcome] = {}
        self._news = False
        self._waiting = trio.lowlevel.ParkingLot()

    def reported(self) -> None:
        """A result was booked that says that an outcome is unknown."""
        self._wake()

    def event(self) -> None:
        """The stream has told of orders."""
        if self._known:
            self._wake()

    async def follow(self, fence: str, heartbeat: Heartbeat) -> None:
        """Settle by evidence what can be settled, until cancelled."""
        with heartbeat.strand() as strand:
            while True:
                self._news = False
                await self._look(fence)
                with strand.idle(), trio.move_on_after(_LOOK_EVERY_SEC if self._known else float("inf")):
                    while not self._news:
                        await self._waiting.park()

    def _wake(self) -> None:
        self._news = True
        self._waiting.unpark_all()

    async def _look(self, fence: str) -> None:
        try:
            read = await self._store.unknown_outcomes()
        except StoreRefusedError as error:
            self._log.warning("Unknown outcomes cannot be read", error=str(error))
            return
        found = [decode_unknown(plan_id, text) for plan_id, text in read.stored]
        known = {each.plan_id: each for each in found if each is not None and each.expires_ms > read.now_ms}
        for plan_id, outcome in known.items():
            if plan_id not in self._known:
                self._log.warning(
                    f"{outcome.symbol}: EXECUTION UNKNOWN plan {plan_id[:8]}",
                    plan_id=plan_id,
                    ends_in_sec=round((outcome.expires_ms - read.now_ms) / 1000, 1),
                )
        self._known = known
        now_sec = self._clocks.now().monotonic_sec
        self._shown.send(
            tuple(
                UnknownExecution(
                    each.plan_id,
                    each.symbol,
                    each.since_ms,
                    now_sec + (each.expires_ms - read.now_ms) / 1000,
                )
                for each in known.values()
            )
        )
        for outcome in known.values():
            decided_ms = outcome.expires_ms - self._reservation_life_sec * 1000
            since_sec = now_sec - (read.now_ms - decided_ms) / 1000 - _MARGIN_SEC
            event = self._memory.orders.find(
                outcome.symbol,
                order_id=outcome.order.order_id,
                client_order_ids=self._client_order_ids(outcome),
                since_sec=since_sec,
            )
            if event is not None and await self._settle(outcome, event, read.now_ms, fence):
                self._news = True

    def _client_order_ids(self, outcome: UnknownOutcome) -> list[str]:
        named = outcome.order.client_order_id
        ours = client_order_id_of(self._key_prefix, outcome.plan_id)
        return [ours] if named is None else [ours, named]

    async def _settle(self, outcome: UnknownOutcome, event: OrderEvent, now_ms: int, fence: str) -> bool:
        """Book what the event shows, as a result would; False where it changes nothing."""
        entry = Entry(f"{now_ms}-{next(self._numbers)}", {})
        result = ExecutedResult(outcome.plan_id, outcome.symbol, (event.as_order(),), None, "")
        try:
            while (planned := await self._plan(entry, result, event)) is not None:
                self._results.arrive(outcome.symbol, entry.id, self._clocks.now())
                booked_ms = await self._store.commit_result(fence, planned.commit)
                if booked_ms is not None:
                    self._report(entry, planned, result, booked_ms)
                    self._log.info(
                        f"{outcome.symbol}: EXECUTION KNOWN plan {outcome.plan_id[:8]}",
                        status=event.status,
                        order_id=event.order_id,
                        filled=plain(event.cumulative),
                    )
                    return True
        except StoreRefusedError as error:
            self._log.warning("An event of an unknown execution cannot be booked", error=str(error))
        # Not where the answer got lost: the event may be booked, and `ResultBook.begin` deals with that.
        self._results.settle(outcome.symbol, entry.id)
        return False

    async def _plan(self, entry: Entry, result: ExecutedResult, event: OrderEvent) -> BookingPlan | None:
        """The booking of an event on what is stored now; None where there is nothing to book or to end."""
        try:
            state = await self._store.booking_state(result.symbol, result.plan_id, (event.order_id,))
            if state.permit is None:
                return None
            permit = decode_open_permit(result.plan_id, state.permit)
            contained = self._contained_of(event, state)
            if contained is None or not event.may_settle(permit):
                return None
            planned = plan_booking(
                entry,
                result,
                state,
                hedge_mode=self._hedge_mode(),
                contained=contained,
                now_sec=Decimal(self._clocks.redis_now_ms()).scaleb(-3),
                mark_ttl_ms=self._mark_ttl_ms,
            )
        except (UnreadableRecordError, StoreRefusedError):
            return None
        if not isinstance(planned, BookingPlan):
            return None
        commit = msgspec.structs.replace(planned.commit, acknowledge=False, unknown_after=None)
        return msgspec.structs.replace(planned, commit=commit) if _changes_something(commit) else None

    def _contained_of(self, event: OrderEvent, state: BookingState) -> dict[str, Decimal] | None:
        """How much of the order the ledger contains since its adoption; None where that is not certain."""
        told_ago_ms = round((self._clocks.now().monotonic_sec - event.told_sec) * 1000)
        within = self._contained.within(state, event.leg, self._clocks.redis_now_ms() - told_ago_ms)
        if within is None:
            return {}
        filled = self._memory.filled_within(event.symbol, event.order_id, within, reported=event.cumulative)
        return None if filled is None else {event.order_id: filled}


def _changes_something(commit: ResultCommit) -> bool:
    return bool(commit.orders) or commit.permit_after is not None
