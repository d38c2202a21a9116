"""Books the exchange's events of orders whose outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.ledger_writer.booking import CommitPlanner
from actors.ledger_writer.contained_fills import ContainedFills
from brain.execution.orders import client_order_id
from brain.identifiers import ClientOrderId, EntryId, FencingToken, OrderId, PlanId
from brain.ledger.booking import decode_open_permit
from brain.ledger.fill_memory import FillMemory
from brain.ledger.order_events import OrderEvent
from brain.ledger.order_memory import UnreadableRecordError
from brain.ledger.result import ExecutedResult
from brain.ledger.unknown_outcomes import UnknownOutcome, decode_unknown
from brain.numbers import plain
from channels import LatestValue, ResultBook, UnknownExecution
from clocks.clocks import Clocks
from store.errors import StoreRefusedError
from store.protocol import ResultStore
from store.records import BookingState, Entry, ResultCommit
from supervision import Heartbeat

_LOOK_EVERY_SEC = 1.0
#: Events count from so long before the decision: a round trip. No order was sent earlier, and a missed event
#: costs no more than the wait for the grace.
_MARGIN_SEC = 0.5

Report = Callable[[Entry, ExecutedResult, ResultCommit, int], None]


class UnknownOutcomes:
    """Part of the ledger writer. Redis holds the state; a copy is kept while there is any.

    An event belongs to a plan by its client order id (the chain's, or the one that the result named) or by
    its order id, and by nothing else.
    """

    def __init__(
        self,
        store: ResultStore,
        memory: FillMemory,
        contained: ContainedFills,
        planner: CommitPlanner,
        *,
        key_prefix: str,
        shown: LatestValue[tuple[UnknownExecution, ...]],
        results: ResultBook,
        reservation_life_sec: float,
        report: Report,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        """`reservation_life_sec`: from a decision to the end of its open permit. `report` is called for each
        booking, with its time (Redis's clock, ms)."""
        self._store = store
        self._memory = memory
        self._contained = contained
        self._planner = planner
        self._key_prefix = key_prefix
        self._shown = shown
        self._results = results
        self._reservation_life_sec = reservation_life_sec
        self._report = report
        self._clocks = clocks
        self._log = log
        self._numbers = count()
        self._known: dict[PlanId, UnknownOutcome] = {}
        self._changed = False
        self._waiting = trio.lowlevel.ParkingLot()

    def reported(self) -> None:
        """Read the stored outcomes: a result was written that says that one is unknown."""
        self._wake()

    def on_events(self) -> None:
        """Look for evidence: the stream has delivered order events."""
        if self._known:
            self._wake()

    async def follow(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Book the events of unknown outcomes, until cancelled."""
        with heartbeat.task() as task:
            while True:
                self._changed = False
                await self._look(fence)
                with task.idle(), trio.move_on_after(_LOOK_EVERY_SEC if self._known else float("inf")):
                    while not self._changed:
                        await self._waiting.park()

    def _wake(self) -> None:
        self._changed = True
        self._waiting.unpark_all()

    async def _look(self, fence: FencingToken) -> None:
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
            if event is not None and await self._book(outcome, event, read.now_ms, fence):
                self._changed = True

    def _client_order_ids(self, outcome: UnknownOutcome) -> list[ClientOrderId]:
        named = outcome.order.client_order_id
        ours = client_order_id(self._key_prefix, outcome.plan_id)
        return [ours] if named is None else [ours, named]

    async def _book(
        self, outcome: UnknownOutcome, event: OrderEvent, now_ms: int, fence: FencingToken
    ) -> bool:
        """Book an event as a result would be; return False where it changes nothing."""
        entry = Entry(EntryId(f"{now_ms}-{next(self._numbers)}"), {})
        result = ExecutedResult(outcome.plan_id, outcome.symbol, (event.as_order(),), None, "")
        try:
            while (commit := await self._plan(entry, result, event)) is not None:
                self._results.arrive(outcome.symbol, entry.id, self._clocks.now())
                booked_ms = await self._store.commit_result(fence, commit)
                if booked_ms is not None:
                    self._report(entry, result, commit, booked_ms)
                    self._log.info(
                        f"{outcome.symbol}: EXECUTION KNOWN plan {outcome.plan_id[:8]}",
                        status=event.status,
                        order_id=event.order_id,
                        filled=plain(event.cumulative),
                    )
                    return True
        except StoreRefusedError as error:
            self._log.warning("An event of an unknown execution cannot be booked", error=str(error))
        # A lost reply does not come here: the event may be booked, and `ResultBook.begin` handles that.
        self._results.finish(outcome.symbol, entry.id)
        return False

    async def _plan(self, entry: Entry, result: ExecutedResult, event: OrderEvent) -> ResultCommit | None:
        """Plan the commit of an event on the stored state; None where it books and ends nothing."""
        try:
            state = await self._store.booking_state(result.symbol, result.plan_id, (event.order_id,))
            if state.permit is None:
                return None
            permit = decode_open_permit(result.plan_id, state.permit)
            contained = self._contained_of(event, state)
            if contained is None or not event.fits(permit):
                return None
            commit = self._planner.plan(entry, result, state, contained=contained)
        except (UnreadableRecordError, StoreRefusedError):
            return None
        if not isinstance(commit, ResultCommit) or not (commit.orders or commit.permit_after is not None):
            return None
        return msgspec.structs.replace(commit, acknowledge=False, unknown_after=None)

    def _contained_of(self, event: OrderEvent, state: BookingState) -> dict[OrderId, Decimal] | None:
        """Return how much of the order the adopted ledger contains; None where that is not certain."""
        age_ms = round((self._clocks.now().monotonic_sec - event.received.monotonic_sec) * 1000)
        within = self._contained.within(state, event.leg, self._clocks.redis_now_ms() - age_ms)
        if within is None:
            return {}
        filled = self._memory.filled_within(event.symbol, event.order_id, within, reported=event.cumulative)
        return None if filled is None else {event.order_id: filled}
