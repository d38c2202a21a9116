"""Answers every plan: reads it, decides, and commits the decision in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.decision_reports import DecisionReports
from actors.decision_writing import Answer, DecisionWriter, dead_letter
from actors.heartbeat import Heartbeat
from actors.lease import lease_fence, present
from actors.redis_clock import RedisClock
from actors.symbol_beliefs import SymbolBeliefs
from brain.allowlist import Allowlist
from brain.case import Case, Rules, SnapshotView
from brain.decision import decide, deny_malformed, evaluation_failed, state_contended
from brain.permit import Reason
from brain.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from brain.plan_fields import read_plan
from brain.symbol_rules import SymbolRules
from channels import LatestValue, Lease, OnDemandRead, PushBack, SnapshotBook
from clock import Clock
from store.errors import FencedError, GroupLostError, StoreUnavailableError
from store.protocol import PlanStore
from store.records import (
    AlreadyDecided,
    Broken,
    Changed,
    CommitReply,
    Committed,
    DecisionCommit,
    Entry,
    TooLate,
    Verdict,
)

_BATCH = 256
_BLOCK_MS = 2_000
_MOST_DELIVERIES = 3
_MOST_ATTEMPTS = 5
_STRANDED_AFTER_MS = 1_500
_SWEEP_SEC = 1.0
_OUTAGE_PAUSE_SEC = 0.1
_COMMIT_WITHIN_MS = 1_000
_ON_DEMAND_SEC = 0.9
_WANTS_A_READ = frozenset({Reason.NO_EXCHANGE_SNAPSHOT, Reason.STALE_EXCHANGE_STATE})


class Work(msgspec.Struct, eq=False):
    """A plan in hand, on its way to a committed decision."""

    entry: Entry
    plan: Plan
    settled: bool = False
    attempts: int = 0
    read_tried: bool = False


class WhatIsKnown(msgspec.Struct, frozen=True):
    """The channels from which the evaluator learns what its decisions rest on."""

    book: SnapshotBook
    symbol_rules: LatestValue[Mapping[str, SymbolRules]]
    allowlist: LatestValue[Allowlist]
    hedge_mode: LatestValue[bool]
    ledgers_adopted: LatestValue[bool]
    lease: LatestValue[Lease]


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
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off."""
        self._store = store
        self._known = known
        self._on_demand = on_demand
        self._clock = clock
        self._rules = rules
        self._writer = writer
        self._reports = reports
        self._redis = f"Redis at {redis_address}"
        self._log = log
        self._redis_clock = RedisClock()
        self._beliefs = SymbolBeliefs()
        self._lanes: dict[str, deque[Work]] = {}
        self._reading = trio.CancelScope()
        self._run_id: str | None = None
        self._recovering_since_ms = 0

    async def run(self, heartbeat: Heartbeat) -> None:
        """Answer plans until asked to stop; what is in hand then is finished."""
        group_lost = False
        while not heartbeat.stopping.is_set():
            fence = await self._prerequisites(heartbeat)
            try:
                await self._store.create_plan_group(lost=group_lost)
                await self._begin()
                await self._recover(fence, heartbeat)
                await self._answer(fence, heartbeat)
            except* FencedError:
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_OUTAGE_PAUSE_SEC)
            except* GroupLostError:
                self._log.warning("Consumer group lost", stream="apply.plan")
                group_lost = True
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
        self._recovering_since_ms = run.changed_ms
        self._redis_clock.told(run.now_ms, self._clock.now().monotonic_sec)

    async def _recover(self, fence: str, heartbeat: Heartbeat) -> None:
        """Answer what was delivered before and not decided, one by one: one of them may be poisonous."""
        self._lanes.clear()
        while entry := await self._store.recover_plan(fence=fence, after="0", idle_ms=0):
            heartbeat.beat()
            for work in await self._settle(await self._sort([entry], fence), fence):
                await self._read_position(work)
                await self._settle([work], fence)

    async def _answer(self, fence: str, heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as lanes, trio.open_nursery() as watchers:
            watchers.start_soon(self._watch_for_stop, heartbeat)
            watchers.start_soon(self._sweep, fence, lanes)
            await self._read(fence, lanes, heartbeat)
            watchers.cancel_scope.cancel()

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
        for work in await self._settle(works, fence):
            lane = self._lanes.get(work.plan.symbol)
            if lane is None:
                lane = self._lanes[work.plan.symbol] = deque()
                lanes.start_soon(self._run_lane, lane, work.plan.symbol, fence)
            lane.append(work)

    async def _run_lane(self, lane: deque[Work], symbol: str, fence: str) -> None:
        """Read the symbol's position, then decide its plans in order, until none is left."""
        while lane:
            await self._read_position(lane[0])
            works = list(lane)
            lane.clear()
            lane.extend(await self._settle(works, fence))
        del self._lanes[symbol]

    async def _read_position(self, work: Work) -> None:
        """Have the position of the plan's symbol read, within what is left of the plan's patience."""
        work.read_tried = True
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
        answers: list[DecisionCommit] = []
        for entry in entries:
            if entry.fields is None:
                done.append(entry.id)
                continue
            plan = read_plan(entry.fields)
            match plan:
                case Plan() if entry.deliveries <= _MOST_DELIVERIES:
                    works.append(Work(entry, plan))
                case Plan() | MalformedPlan():
                    answers.append(self._answer_unread(entry, plan))
                case SkippedPlan():
                    done.append(entry.id)
                    self._reports.skipped(plan)
                case UnanswerablePlan():
                    fields = dead_letter(entry.fields, entry_id=entry.id, error=plan.error)
                    await self._store.bury_plan(fence, entry.id, fields)
                    self._reports.buried(entry.id, plan.error)
        if done:
            await self._store.acknowledge_plans(fence, done)
        if answers:
            reply = await self._store.commit_decisions(fence, answers)
            for answer, verdict in zip(answers, reply.verdicts, strict=True):
                if isinstance(verdict, Broken):
                    await self._store.bury_plan(
                        fence, answer.entry_id, ("entry_id", answer.entry_id, "error", verdict.error)
                    )
                    self._reports.buried(answer.entry_id, verdict.error)
        return works

    def _answer_unread(self, entry: Entry, plan: Plan | MalformedPlan) -> DecisionCommit:
        """The answer to a plan that cannot be read, or that has failed too often to be looked at again."""
        dead_fields: tuple[str, ...] = ()
        if isinstance(plan, MalformedPlan):
            decision = deny_malformed(plan)
        else:
            error = f"no decision after {entry.deliveries - 1} deliveries"
            decision = evaluation_failed(entry.deliveries - 1)
            dead_fields = dead_letter(entry.fields or {}, entry_id=entry.id, error=error)
            self._reports.buried(entry.id, error)
        answer = Answer(entry.id, plan.plan_id, plan.symbol, decision, None)
        now = self._clock.now()
        self._reports.decided(answer, self._redis_clock.now_ms(now.monotonic_sec) - entry.published_ms)
        return self._writer.commit(
            answer, assumed=None, deadline_ms=0, created_at_sec=now.wall_ms / 1000, dead_fields=dead_fields
        )

    async def _settle(self, works: Sequence[Work], fence: str) -> list[Work]:
        """Decide and commit; answers the works that want their symbol's position read first, in order.

        What Redis holds otherwise than believed is decided again on what it holds.
        """
        wanting: list[Work] = []
        while works:
            begun_sec = self._clock.now().monotonic_sec
            proposals: list[tuple[Work, Answer]] = []
            commits: list[DecisionCommit] = []
            waiting_symbols = {work.plan.symbol for work in wanting}
            for work in works:
                answer_and_commit = None
                if work.plan.symbol not in waiting_symbols:
                    answer_and_commit = self._propose(work)
                if answer_and_commit is None:
                    wanting.append(work)
                    waiting_symbols.add(work.plan.symbol)
                else:
                    proposals.append((work, answer_and_commit[0]))
                    commits.append(answer_and_commit[1])
            if not commits:
                break
            decided_sec = self._clock.now().monotonic_sec
            self._reports.evaluated(len(commits), decided_sec - begun_sec)
            reply = await self._store.commit_decisions(fence, commits)
            works = self._learn(reply, proposals)
        return wanting

    def _propose(self, work: Work) -> tuple[Answer, DecisionCommit] | None:
        """A decision on what is believed now; None when it hangs on a read that has not been tried."""
        now = self._clock.now()
        plan, entry = work.plan, work.entry
        now_ms = max(self._redis_clock.now_ms(now.monotonic_sec), entry.published_ms)
        belief = self._beliefs.of(plan.symbol)
        open_permits = belief.live_permits(now_ms)
        known = self._known
        snapshot = known.book.get(plan.symbol)
        allowlist = known.allowlist.value
        case = Case(
            plan=plan,
            entry_ms=entry.published_ms,
            now_ms=now_ms,
            settled=work.settled,
            recovering=now_ms < self._recovering_since_ms + self._rules.permit_ttl_sec * 1000,
            in_allowlist=allowlist is not None and plan.symbol in allowlist.symbols,
            symbol_rules=(known.symbol_rules.value or {}).get(plan.symbol),
            hedge_mode=known.hedge_mode.value,
            hold=belief.state.hold,
            snapshot=None
            if snapshot is None
            else SnapshotView(
                snapshot.legs,
                snapshot.verified_at.wall_ms,
                snapshot.verified_at.age_sec(now),
                known.book.believed(snapshot),
            ),
            ledger=belief.state.ledger,
            cooldown_text=belief.state.cooldown,
            open_permits=open_permits,
            rules=self._rules,
        )
        assumed = belief.assumed(len(open_permits), settled=work.settled)
        if work.attempts >= _MOST_ATTEMPTS:
            decision, assumed_or_none = state_contended(work.attempts), None
        else:
            decision, assumed_or_none = decide(case), assumed
        if decision.reason in _WANTS_A_READ:
            enabled = self._on_demand is not None
            if enabled and not work.read_tried:
                return None
            self._reports.missed_snapshot(plan, enabled=enabled, attempted=work.read_tried)
        answer = Answer(entry.id, plan.plan_id, plan.symbol, decision, case)
        commit = self._writer.commit(
            answer,
            assumed=assumed_or_none,
            deadline_ms=self._deadline_ms(case) if decision.allow else 0,
            created_at_sec=now.wall_ms / 1000,
        )
        if reservation := self._writer.reserved(answer, now_ms):
            self._beliefs.reserved(reservation, plan.symbol, entry.id)
        return answer, commit

    def _deadline_ms(self, case: Case) -> int:
        """The last moment, by Redis's clock, at which an ALLOW on `case` is still true."""
        fresh_for_sec = self._rules.stale_threshold_sec - (case.snapshot.age_sec if case.snapshot else 0)
        return min(
            case.entry_ms + round(self._rules.plan_max_age_sec * 1000),
            case.now_ms + int(fresh_for_sec * 1000),
            case.now_ms + _COMMIT_WITHIN_MS,
        )

    def _learn(self, reply: CommitReply, proposals: Sequence[tuple[Work, Answer]]) -> list[Work]:
        """Take in what the commit found; the works that have to be decided again."""
        self._redis_clock.told(reply.now_ms, self._clock.now().monotonic_sec)
        again: list[Work] = []
        for (work, answer), verdict in zip(proposals, reply.verdicts, strict=True):
            if self._accepted(work, answer, verdict, reply.now_ms):
                continue
            work.attempts += 1
            again.append(work)
        return again

    def _accepted(self, work: Work, answer: Answer, verdict: Verdict, now_ms: int) -> bool:
        match verdict:
            case Committed():
                self._reports.decided(answer, now_ms - work.entry.published_ms)
                return True
            case AlreadyDecided():
                self._beliefs.forget(work.plan.symbol)
                return True
            case Changed(state):
                work.settled = state.settled
                self._beliefs.told(work.plan.symbol, state)
            case TooLate():
                self._beliefs.forget(work.plan.symbol)
            case Broken(error):
                raise BrokenKeyError(error)
        return False


class BrokenKeyError(Exception):
    """A key of this service's own holds something of another type: nothing can be decided on it."""
