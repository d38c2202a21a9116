"""Names the input that a decision lacks, and fetches it or waits for it, by a deadline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from actors.permit_evaluator.assumed_state import AssumedState
from actors.permit_evaluator.plans import DecisionInputs, MissingInput, PendingPlan
from actors.permit_evaluator.reports import DecisionReports
from brain.decisions.case import Case
from brain.plans.permit import Decision, Kind, Reason
from channels import LedgerWanted, OnDemandRead, PushBack, RulesWanted
from clocks.clocks import Clocks
from store.errors import StoreRefusedError
from store.protocol import PlanStore
from store.records import id_order

#: A push comes a few milliseconds after its fill's result, if at all; then the position is read (seconds).
_PUSHED_WITHIN_SEC = 0.1
#: A result that takes longer to be booked waits for the exchange, or fails (seconds).
_BOOKED_WITHIN_SEC = 2.0
#: A result that was published before a plan is read so soon after that plan's publication, or its reader
#: hangs (ms).
_READ_WITHIN_MS = 300
#: Results that are older than a plan by this much were read, or do not concern it (ms).
_LOOK_BACK_MS = 1_000

#: An executor waits 1.2 s for its permit: so long after its publication a plan has to be decided (seconds).
_DEADLINE_SEC = 0.9

_WANTS_A_READ = frozenset({Reason.NO_EXCHANGE_SNAPSHOT, Reason.STALE_EXCHANGE_STATE})
#: Denies that rest on Redis's state: reading it comes before waiting for a result.
_RESTS_ON_REDIS = frozenset(
    {
        Reason.RECONCILE_REQUIRED_SIDE_MISMATCH,
        Reason.RECONCILE_REQUIRED_QTY_MISMATCH,
        Reason.IN_FLIGHT_PERMIT,
    }
)
#: Denies that a fill which is booked a moment later may turn.
_A_RESULT_MAY_TURN = _RESTS_ON_REDIS | {
    Reason.NO_POSITION,
    Reason.REDUCE_ONLY_SIDE_MISMATCH,
    Reason.WOULD_FLIP_POSITION,
}


class Prerequisites:
    """Part of the permit evaluator: asks the fetchers for a position, the ledger writer for a ledger and the
    planner for exchangeInfo; waits for pushes and results."""

    def __init__(
        self,
        store: PlanStore,
        known: DecisionInputs,
        on_demand: Callable[[str], PushBack[OnDemandRead]] | None,
        ledgers_wanted: PushBack[LedgerWanted],
        *,
        clocks: Clocks,
        reports: DecisionReports,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off."""
        self._store = store
        self._known = known
        self._on_demand = on_demand
        self._ledgers_wanted = ledgers_wanted
        self._clocks = clocks
        self._reports = reports

    def missing(
        self, pending: PendingPlan, decision: Decision, assumed: AssumedState, case: Case
    ) -> MissingInput | None:
        """Return an input that may turn a deny and was not fetched yet."""
        if decision.reason is Reason.RECONCILE_REQUIRED_QTY_MISMATCH and not assumed.from_redis:
            # Denied for a missing ledger, and Redis was not read yet.
            return MissingInput.STATE
        missing: list[MissingInput] = []
        if decision.reason in _WANTS_A_READ:
            if case.snapshot is not None and not case.snapshot.shows_results:
                missing.append(MissingInput.PUSH)
            # An exchange whose symbols were never read is away.
            if self._on_demand is not None and self._known.exchange_known:
                missing.append(MissingInput.POSITION)
        elif decision.reason is Reason.RECONCILE_REQUIRED_QTY_MISMATCH and assumed.has_no_ledger:
            missing.append(MissingInput.LEDGER)
        elif self._may_turn(decision) and self._result_may_come(pending, case):
            missing.append(MissingInput.RESULT)
        elif decision.reason is Reason.SYMBOL_NOT_ON_EXCHANGE and case.symbol_rules is None:
            missing += [MissingInput.RULES] if self._known.rules_due(self._clocks.now()) else []
        untried = next((each for each in missing if each not in pending.tried), None)
        outdated = assumed.results_finished != self._known.results.finished(pending.symbol)
        if untried is MissingInput.RESULT and outdated and decision.reason in _RESTS_ON_REDIS:
            # A result was finished since the state was read: reading again costs less than waiting.
            return MissingInput.STATE
        return untried

    def _may_turn(self, decision: Decision) -> bool:
        """Return True if a result from just before the plan may turn the deny.

        An open or add that another open permit blocks does not wait: the fill of that permit is no reason to
        open more at once.
        """
        entering = decision.kind in (Kind.OPEN, Kind.ADD)
        waits_for_permit = decision.reason is Reason.IN_FLIGHT_PERMIT
        return decision.reason in _A_RESULT_MAY_TURN and not (entering and waits_for_permit)

    def _result_may_come(self, pending: PendingPlan, case: Case) -> bool:
        """Return True if a result from before the plan is being booked or may not have been delivered yet."""
        results, published_ms = self._known.results, case.entry_ms
        if results.taken_over_at is None:
            return False  # No result is read yet.
        now = self._clocks.now()
        if results.unfinished(pending.symbol, now, _BOOKED_WITHIN_SEC):
            return True
        if published_ms is None or case.now_ms - published_ms >= _READ_WITHIN_MS:
            return False
        read_until_ms = id_order(results.read_until)[0]
        # Ids of results that are ahead of Redis's clock do not show what came before the plan.
        all_read = published_ms < read_until_ms <= self._clocks.redis.at_most_ms(now)
        return not all_read and not results.hangs(now, _BOOKED_WITHIN_SEC)

    def report_missed(self, pending: PendingPlan, decision: Decision) -> None:
        """Report a committed decision that lacked a usable snapshot."""
        if decision.reason in _WANTS_A_READ:
            attempted = MissingInput.POSITION in pending.tried
            self._reports.missed_snapshot(
                pending.plan, enabled=self._on_demand is not None, attempted=attempted
            )

    async def provide(self, lane: Sequence[PendingPlan]) -> None:
        """Fetch the input that the first of a symbol's plans lacks.

        One attempt counts for all plans of the lane: where it fails, none of them tries again.
        """
        pending = lane[0]
        if (missing := pending.missing) is None:
            return
        for each in lane:
            each.missing, each.tried = None, each.tried | {missing}
        match missing:
            case MissingInput.POSITION:
                await self._read_position(pending)
            case MissingInput.LEDGER:
                await self._have_ledger_adopted(pending)
            case MissingInput.PUSH:
                await self._await_push(pending)
            case MissingInput.RESULT:
                await self._await_result(pending)
            case MissingInput.RULES:
                await self._have_rules_read(pending)

    async def _read_position(self, pending: PendingPlan) -> None:
        if self._on_demand is None:
            return
        left_sec = self._left_sec(pending)
        deadline_sec = self._clocks.now().monotonic_sec + left_sec
        reply, answer = trio.open_memory_channel[str | None](1)
        why_not: str | None = f"no answer within {left_sec:.1f} s"
        with trio.move_on_after(left_sec):
            await self._on_demand(pending.symbol).send(
                OnDemandRead(
                    pending.symbol,
                    pending.plan.plan_id,
                    deadline_sec,
                    reply,
                    self._known.results.latest(pending.symbol),
                )
            )
            why_not = await answer.receive()
        self._reports.read_on_demand(pending.plan, why_not)

    async def _have_ledger_adopted(self, pending: PendingPlan) -> None:
        reply, answer = trio.open_memory_channel[bool](1)
        adopted = False
        with trio.move_on_after(self._left_sec(pending)):
            await self._ledgers_wanted.send(LedgerWanted(pending.symbol, reply))
            adopted = await answer.receive()
        if not adopted:
            self._reports.no_ledger(pending.plan)

    async def _await_push(self, pending: PendingPlan) -> None:
        """Wait until the symbol's snapshot contains the fills of its results: 0.1 s where the position can be
        read instead, and not at all where the stream does not cover the symbol."""
        left_sec, symbol = max(_DEADLINE_SEC - self._waited_sec(pending), 0), pending.symbol
        if self._on_demand is not None:
            follows = self._known.book.follows_stream(symbol)
            left_sec = min(left_sec, _PUSHED_WITHIN_SEC if follows else 0)

        def shown() -> bool:
            snapshot = self._known.book.get(symbol)
            return snapshot is not None and self._known.results.all_in(snapshot)

        with trio.move_on_after(left_sec):
            await _until(shown, self._known.book.changed, self._known.results.changed)

    async def _await_result(self, pending: PendingPlan) -> None:
        """Wait until results from before the plan are delivered, and those of its symbol booked.

        Ids of plans and results may be ahead of one another, so every result that is there by now counts.
        """
        results, symbol = self._known.results, pending.symbol
        if not results.unfinished(symbol, self._clocks.now(), _BOOKED_WITHIN_SEC):
            look_back_ms = max(self._published_ms(pending) - _LOOK_BACK_MS, 0)
            after = max(id_order(results.read_until), (look_back_ms, 0))
            with trio.move_on_after(max(_READ_WITHIN_MS / 1000 - self._waited_sec(pending), 0)):
                unread = None
                with suppress(StoreRefusedError):  # the ledger writer reports a stream of another type
                    unread = await self._store.unread_result(f"{after[0]}-{after[1]}")
                while unread is not None and id_order(results.read_until) < id_order(unread):
                    await results.changed()
        with trio.move_on_after(max(_DEADLINE_SEC - self._waited_sec(pending), 0)):
            while results.unfinished(symbol, self._clocks.now(), _BOOKED_WITHIN_SEC):
                await results.changed()

    async def _have_rules_read(self, pending: PendingPlan) -> None:
        with trio.move_on_after(self._left_sec(pending)):
            self._known.rules_wanted.send(RulesWanted(f"a plan names {pending.symbol}"))
            await self._known.rules_asked_at.changed()

    def _left_sec(self, pending: PendingPlan) -> float:
        """Return the time to the deadline, and at least a third of the whole."""
        return max(_DEADLINE_SEC - self._waited_sec(pending), _DEADLINE_SEC / 3)

    def _waited_sec(self, pending: PendingPlan) -> float:
        """Return the time since the plan was published (seconds, by Redis's clock)."""
        return max(self._clocks.redis_now_ms() - self._published_ms(pending), 0) / 1000

    def _published_ms(self, pending: PendingPlan) -> int:
        """Return when the plan was published (Redis's clock); where that is unknown, long ago."""
        return pending.entry.published_ms or 0


async def _until(true: Callable[[], bool], *changes: Callable[[], Awaitable[None]]) -> None:
    """Wait until `true` holds; check it after each change.

    Each change has a task that checks and parks with no checkpoint between, so that no change is missed.
    """

    async def follow(changed: Callable[[], Awaitable[None]]) -> None:
        while not true():
            await changed()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for changed in changes:
            nursery.start_soon(follow, changed)
