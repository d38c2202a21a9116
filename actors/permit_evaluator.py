"""Answers every plan: reads it, decides, and commits the decision in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import trio
from structlog.typing import FilteringBoundLogger

from actors.decision_reports import DecisionReports
from actors.decision_writing import DecisionWriter, dead_letter
from actors.heartbeat import Heartbeat
from actors.lease import lease_fence, present
from actors.plan_settling import PlanSettler, Refusal, WhatIsKnown, Work
from actors.redis_clock import RedisClock
from brain.case import Rules
from brain.decision import deny_malformed, evaluation_failed
from brain.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from brain.plan_fields import read_plan
from channels import OnDemandRead, PushBack
from clock import Clock
from store.errors import FencedError, GroupLostError, StoreUnavailableError
from store.protocol import PlanStore
from store.records import Entry

_BATCH = 256
_BLOCK_MS = 2_000
_MOST_DELIVERIES = 3
_STRANDED_AFTER_MS = 1_500
_SWEEP_SEC = 1.0
_OUTAGE_PAUSE_SEC = 0.1
_ON_DEMAND_SEC = 0.9


class PermitEvaluator:
    """Reads plans in batches, decides different symbols together and one symbol's plans in order.

    A plan whose answer hangs on a missing or stale snapshot goes to a lane of its symbol, which reads the
    position first; plans of other symbols pass it by. Whatever happens, an entry is acknowledged by the
    script that writes its decision and by nothing else: what is in hand when this actor or Redis dies is
    delivered again.
    """

    def __init__(
        self,
        store: PlanStore,
        known: WhatIsKnown,
        on_demand: Callable[[str], PushBack[OnDemandRead]] | None,
        *,
        clock: Clock,
        rules: Rules,
        writer: DecisionWriter,
        reports: DecisionReports,
        plan_stream: str,
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off.
        `plan_stream` and `redis_address` are names for people to read."""
        self._store = store
        self._known = known
        self._on_demand = on_demand
        self._clock = clock
        self._permit_ttl_ms = rules.permit_ttl_sec * 1000
        self._writer = writer
        self._reports = reports
        self._plan_stream = plan_stream
        self._redis = f"Redis at {redis_address}"
        self._log = log
        self._redis_clock = RedisClock()
        self._settler = PlanSettler(
            store,
            known,
            clock=clock,
            redis_clock=self._redis_clock,
            rules=rules,
            on_demand=on_demand is not None,
            writer=writer,
            reports=reports,
        )
        self._lanes: dict[str, deque[Work]] = {}
        self._reading = trio.CancelScope()
        self._run_id: str | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Answer plans until asked to stop; what is in hand then is finished."""
        had_group = False
        while not heartbeat.stopping.is_set():
            try:
                # Before all else: a plan that is published while the rest is waited for is not to be missed.
                # One that has vanished begins at the start: old plans answer themselves as expired.
                await self._store.create_plan_group(lost=had_group)
                if not had_group:
                    self._log.info(f"Consumer group: p33 on {self._plan_stream}")
                had_group = True
                fence = await self._prerequisites(heartbeat)
                await self._begin()
                await self._answer(fence, heartbeat)
            except* FencedError:
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_OUTAGE_PAUSE_SEC)
            except* GroupLostError:
                self._log.warning("Consumer group lost", stream="apply.plan")
            except* StoreUnavailableError:
                with heartbeat.waiting_for(self._redis):
                    await trio.sleep(_OUTAGE_PAUSE_SEC)

    async def _prerequisites(self, heartbeat: Heartbeat) -> str:
        known = self._known
        await present(known.symbol_rules, "exchangeInfo", heartbeat)
        await present(known.hedge_mode, "the account's position mode", heartbeat)
        await present(known.allowlist, "the allowlist", heartbeat)
        fence = await lease_fence(known.lease, heartbeat)
        await present(known.ledgers_adopted, "the first ledgers", heartbeat)
        return fence

    async def _begin(self) -> None:
        """Learn Redis's clock, and whether it is the Redis that we knew."""
        run = await self._store.redis_run(self._run_id)
        self._run_id = run.run_id
        recently = run.now_ms - run.changed_ms < self._permit_ttl_ms
        if recently and run.changed_ms != self._settler.redis_changed_ms:
            self._log.warning("Redis is another run than before: opens wait for one permit TTL")
        self._settler.redis_changed_ms = run.changed_ms
        self._redis_clock.told(run.now_ms, self._clock.now().monotonic_sec)

    async def _answer(self, fence: str, heartbeat: Heartbeat) -> None:
        """Answer what was delivered before and not decided, then what comes; finish the lanes last."""
        self._lanes.clear()
        async with trio.open_nursery() as lanes, trio.open_nursery() as watchers:
            watchers.start_soon(self._watch_for_stop, heartbeat)
            await self._recover(fence, lanes, heartbeat)
            watchers.start_soon(self._sweep, fence, lanes)
            await self._read(fence, lanes, heartbeat)
            watchers.cancel_scope.cancel()

    async def _recover(self, fence: str, lanes: trio.Nursery, heartbeat: Heartbeat) -> None:
        """One by one, because one of them may be poisonous, and must not take others with it each time."""
        after = "0"
        while entry := await self._store.recover_plan(fence=fence, after=after, idle_ms=0):
            await self._take([entry], fence, lanes)
            heartbeat.beat()
            after = entry.id

    async def _watch_for_stop(self, heartbeat: Heartbeat) -> None:
        await heartbeat.stopping.wait()
        self._reading.cancel()

    async def _sweep(self, fence: str, lanes: trio.Nursery) -> None:
        """Find what was delivered and lies idle, because a cancelled read or a dead reader swallowed it."""
        while True:
            await trio.sleep(_SWEEP_SEC)
            self._redis_clock.told(await self._store.redis_now_ms(), self._clock.now().monotonic_sec)
            while entry := await self._store.recover_plan(fence=fence, after="0", idle_ms=_STRANDED_AFTER_MS):
                await self._take([entry], fence, lanes)

    async def _read(self, fence: str, lanes: trio.Nursery, heartbeat: Heartbeat) -> None:
        while not heartbeat.stopping.is_set():
            entries: list[Entry] = []
            with heartbeat.idle(), trio.CancelScope() as self._reading:
                entries = await self._store.new_plans(count=_BATCH, block_ms=_BLOCK_MS)
            if entries:
                await self._take(entries, fence, lanes)

    async def _take(self, entries: Sequence[Entry], fence: str, lanes: trio.Nursery) -> None:
        """Decide what can be decided at once; leave the rest, and what comes after it, to lanes."""
        works: list[Work] = []
        for work in await self._sort(entries, fence):
            lane = self._lanes.get(work.plan.symbol)
            if lane is None:
                works.append(work)
            else:
                lane.append(work)
        for work in await self._settler.settle(works, fence):
            lane = self._lanes.get(work.plan.symbol)
            if lane is None:
                lane = self._lanes[work.plan.symbol] = deque()
                lanes.start_soon(self._run_lane, lane, work.plan.symbol, fence)
            lane.append(work)

    async def _run_lane(self, lane: deque[Work], symbol: str, fence: str) -> None:
        """Read the symbol's position, then decide its plans in order, until none is left."""
        while lane:
            await self._read_position(lane)
            works = list(lane)
            lane.clear()
            lane.extendleft(reversed(await self._settler.settle(works, fence)))
        del self._lanes[symbol]

    async def _read_position(self, lane: Sequence[Work]) -> None:
        """Have the position of the lane's symbol read, within what is left of its first plan's patience.

        One attempt serves all the plans that wait for it: where it fails, none of them tries again.
        """
        work = lane[0]
        for each in lane:
            each.read_tried = True
        if self._on_demand is None:
            return
        now = self._clock.now()
        waited_sec = (self._redis_clock.now_ms(now.monotonic_sec) - work.entry.published_ms) / 1000
        patience_sec = max(_ON_DEMAND_SEC - max(waited_sec, 0), _ON_DEMAND_SEC / 3)
        reply, answer = trio.open_memory_channel[str | None](1)
        why_not: str | None = f"no answer within {patience_sec:.1f} s"
        with trio.move_on_after(patience_sec):
            await self._on_demand(work.plan.symbol).send(
                OnDemandRead(work.plan.symbol, work.plan.plan_id, now.monotonic_sec + patience_sec, reply)
            )
            why_not = await answer.receive()
        self._reports.read_on_demand(work.plan, why_not)

    async def _sort(self, entries: Sequence[Entry], fence: str) -> list[Work]:
        """The plans that need a decision; all other entries are answered, set aside or acknowledged here."""
        works: list[Work] = []
        done: list[str] = []
        refusals: list[Refusal] = []
        for entry in entries:
            if entry.fields is None:
                done.append(entry.id)
                continue
            plan = read_plan(entry.fields)
            match plan:
                case Plan() if entry.deliveries <= _MOST_DELIVERIES:
                    works.append(Work(entry, plan))
                case Plan() | MalformedPlan():
                    refusals.append(_refusal(entry, plan))
                case SkippedPlan():
                    done.append(entry.id)
                    self._reports.skipped(plan)
                case UnanswerablePlan():
                    fields = dead_letter(entry.fields, entry_id=entry.id, error=plan.error)
                    await self._store.bury_plan(fence, entry.id, fields)
                    self._reports.buried(entry.id, plan.error)
        if done:
            await self._store.acknowledge_plans(fence, done)
        if refusals:
            await self._settler.refuse(refusals, fence)
        return works


def _refusal(entry: Entry, plan: Plan | MalformedPlan) -> Refusal:
    """The answer to a plan that cannot be read, or that has failed too often to be looked at again."""
    if isinstance(plan, MalformedPlan):
        return Refusal(entry, plan.plan_id, plan.symbol, deny_malformed(plan))
    failures = entry.deliveries - 1
    error = f"no decision after {failures} deliveries"
    return Refusal(entry, plan.plan_id, plan.symbol, evaluation_failed(failures), error)
