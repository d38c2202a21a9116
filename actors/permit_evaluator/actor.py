"""Answers every plan: reads it, decides, and commits the decision in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio
from structlog.typing import FilteringBoundLogger

from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.committing import PLANS_AT_A_TIME, PlanRefuser
from actors.permit_evaluator.deciding import PlanDecider
from actors.permit_evaluator.plans import DecisionInputs, PendingPlan, PlanBatch, sort_entries
from actors.permit_evaluator.prerequisites import Prerequisites
from actors.permit_evaluator.reports import DecisionReports
from actors.permit_evaluator.symbol_locks import SymbolLocks
from actors.stream_consumer import Batch, FailureCounter, Session, StreamConsumer
from brain.decisions.case import Rules
from brain.decisions.dead_letter import dead_letter
from brain.identifiers import FencingToken, Symbol
from brain.plans.shared_plans import SharedPlans, read_alone
from channels import LedgerWanted, OnDemandRead, PushBack
from clocks.clocks import Clocks
from store.protocol import PlanStore
from store.records import Entry
from supervision import Heartbeat

#: Plans read at once near Redis, and more for each two milliseconds of round trip. Where all are of few
#: symbols, no batch is decided before the last one is answered: so the wait stays a tenth of the work.
_BATCH, _MORE, _FOR_EACH_SEC, _MOST_AT_ONCE = 64, 192, 0.002, 512
#: One is decided while the other is written.
_BATCHES_IN_HAND = 2
#: The share of a plan's age limit for which it may wait, after a start, for what every decision needs.
_PATIENT_SHARE = 0.5


def plans_at_once(round_trip_sec: float) -> int:
    """Return how many plans to read, decide and commit together with Redis so far away."""
    return min(_BATCH + _MORE * int(round_trip_sec / _FOR_EACH_SEC), _MOST_AT_ONCE)


class PermitEvaluator(StreamConsumer):
    """Decides plans of different symbols together, and those of one symbol in order.

    Two tasks take turns at reading, so that the next plans are read and decided while the last are written.

    A plan whose decision lacks an input (a fresh snapshot, a ledger) goes to its symbol's lane, which fetches
    the input first; plans of other symbols overtake it. An entry is acknowledged by the script that writes
    its decision, and by nothing else.
    """

    def __init__(
        self,
        store: PlanStore,
        known: DecisionInputs,
        on_demand: Callable[[str], PushBack[OnDemandRead]] | None,
        ledgers_wanted: PushBack[LedgerWanted],
        *,
        failures: FailureCounter,
        clocks: Clocks,
        rules: Rules,
        writer: DecisionWriter,
        reports: DecisionReports,
        key_prefix: str,
        log: FilteringBoundLogger,
        shared: SharedPlans | None = None,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off.
        `failures` outlives this actor. `key_prefix` is for people to read. `shared`: plans that another role
        reads, too."""
        super().__init__(
            store.plans, store, known.lease, failures, clocks=clocks, log=log,
            batch=_BATCH, readers=_BATCHES_IN_HAND,
        )  # fmt: skip
        self._store = store
        self._known = known
        self._plan_of = read_alone if shared is None else shared.read
        self._patience_ms = rules.plan_max_age_sec * 1000 * _PATIENT_SHARE
        self._permit_ttl_ms = rules.permit_ttl_sec * 1000
        self._reports = reports
        self._prerequisites = Prerequisites(
            store, known, on_demand, ledgers_wanted, clocks=clocks, reports=reports
        )
        self._refuser = PlanRefuser(store, clocks=clocks, writer=writer, reports=reports, failures=failures)
        self._decider = PlanDecider(
            store,
            known,
            self._prerequisites,
            self._refuser,
            clocks=clocks,
            rules=rules,
            writer=writer,
            reports=reports,
            failures=failures,
            key_prefix=key_prefix,
        )
        self._lanes: dict[Symbol, deque[PendingPlan]] = {}
        self._locks = SymbolLocks()
        self._run_id: str | None = None
        self._fence: FencingToken | None = None
        self._taking_over = trio.Lock()

    async def begin(self, session: Session) -> None:
        """Learn about Redis, and the open permits under a new lease."""
        self._lanes.clear()
        self._locks = SymbolLocks()
        await self.sweep(session)

    async def recovered(self, _session: Session) -> None:
        """Confirm the reservations of commits that were not answered: their plans were decided again."""
        self._decider.all_delivered_again()

    async def sweep(self, session: Session) -> None:
        """Learn whether Redis was replaced or evicts keys, and the open permits under a new lease."""
        await self._learn_redis_run()
        self.batch = plans_at_once(self._clocks.redis.round_trip.least_sec)
        await self._take_over(session.fence)

    async def handle(self, batch: Batch) -> None:
        """Decide the plans that can be decided at once; leave the others, and what follows them, to lanes."""
        if not batch.entries:
            return
        if not self._known.complete:
            await self._hold_back(batch.entries[0], batch.heartbeat)
        await self._take_over(batch.fence)
        plans = PlanBatch()
        for first in range(0, len(batch.entries), PLANS_AT_A_TIME):
            if first:
                await trio.lowlevel.checkpoint()
            some = batch.entries[first : first + PLANS_AT_A_TIME]
            sort_entries(some, self.failures, self._plan_of, plans)
        await self._locks.acquire(plans.symbols)
        batch.read_on()
        try:
            await self._answer_without_state(plans, batch.fence)
            await self._decide(plans, batch.session)
        finally:
            self._locks.release(plans.symbols)

    async def _decide(self, plans: PlanBatch, session: Session) -> None:
        pending: list[PendingPlan] = []
        for plan in plans.pending:
            lane = self._lanes.get(plan.symbol)
            if lane is None:
                pending.append(plan)
            else:
                lane.append(plan)
        for plan in await self._decider.decide_and_commit(pending, session.fence):
            lane = self._lanes.get(plan.symbol)
            if lane is None:
                lane = self._lanes[plan.symbol] = deque()
                session.unfinished.start_soon(self._run_lane, lane, plan.symbol, session)
            lane.append(plan)

    async def _learn_redis_run(self) -> None:
        """Learn Redis's clock, whether it is the same run of Redis, and whether it has evicted keys."""
        sent = self._clocks.now()
        run = await self._store.redis_run(self._run_id)
        self._clocks.redis.observe(run.now_ms, sent, self._clocks.now())
        if run.run_id != self._run_id:
            self.times.forget()
        self._run_id = run.run_id
        recently = run.now_ms - run.changed_ms < self._permit_ttl_ms
        if recently and run.changed_ms != self._decider.redis_changed_ms:
            self._log.warning(
                "Redis is another run than before, or was emptied: opens wait for one permit TTL"
            )
        self._decider.redis_changed_ms = run.changed_ms
        if run.evicted_ms - self._decider.evicted_ms > self._permit_ttl_ms:
            self._log.warning("Redis has evicted keys: opens wait for one permit TTL")
        self._decider.evicted_ms = run.evicted_ms

    async def _take_over(self, fence: FencingToken) -> None:
        """Read the open permits, once under each lease, then whether keys were evicted before.

        While the symbols of the exchange are not known, no order is allowed.
        """
        rules, lease = self._known.symbol_rules.value, self._known.lease.value
        if lease is not None and lease.fence == fence and lease.since is not None:
            fence = lease.since  # no other process has decided since
        if rules is None or fence == self._fence:
            return
        async with self._taking_over:
            if fence == self._fence:
                return
            stored = await self._store.open_permits(list(rules))
            await self._learn_redis_run()
            self._decider.take_over(stored, self._clocks.redis_now_ms())
            self._fence = fence

    async def _hold_back(self, first: Entry, heartbeat: Heartbeat) -> None:
        """Wait for what a service that has just started lacks, for half of the first plan's age limit.

        Decided after that, plans are denied for what is missing.
        """
        age_ms = self._clocks.redis_now_ms() - (first.published_ms or 0)
        with trio.move_on_after(max(self._patience_ms - age_ms, 0) / 1000):
            await self._known.wait_until_complete(heartbeat)
        # Redis may have been replaced during the wait, in which no call of this actor would have failed.
        await self._learn_redis_run()

    async def _run_lane(self, lane: deque[PendingPlan], symbol: Symbol, session: Session) -> None:
        """Fetch what a symbol's first plan lacks, and decide its plans in order, until none is left."""
        with session.heartbeat.task() as task:
            while lane:
                with self.failures.attributed_to((lane[0].entry.id,)):
                    await self._prerequisites.provide(lane)
                pending = list(lane)
                lane.clear()
                lane.extendleft(reversed(await self._decider.decide_and_commit(pending, session.fence)))
                task.beat()
        del self._lanes[symbol]

    async def _answer_without_state(self, plans: PlanBatch, fence: FencingToken) -> None:
        """Acknowledge, deny or make dead letters of entries that need no symbol's state."""
        for entry, error in plans.unanswerable:
            fields = dead_letter(entry.fields or {}, entry_id=entry.id, error=error)
            await self._store.plans.dead_letter(fence, entry.id, fields)
            self.failures.done(entry.id)
            self._reports.dead_letter(entry.id, error)
        for skipped in plans.skipped:
            self._reports.skipped(skipped)
        if plans.done:
            await self._store.plans.acknowledge(fence, plans.done)
            for entry_id in plans.done:
                self.failures.done(entry_id)
        await self._refuser.refuse(plans.refusals, fence)
