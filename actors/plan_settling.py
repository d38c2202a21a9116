"""Decides plans and commits the decisions, again where Redis holds something else than believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from actors.decision_reports import DecisionReports
from actors.decision_writing import Answer, DecisionWriter, dead_letter
from actors.redis_clock import RedisClock
from actors.symbol_beliefs import SymbolBeliefs
from brain.allowlist import Allowlist
from brain.case import Case, Rules, SnapshotView
from brain.decision import decide, evaluation_failed, state_contended
from brain.permit import Decision, Reason
from brain.plan import Plan
from brain.symbol_rules import SymbolRules
from channels import LatestValue, Lease, SnapshotBook
from clock import Clock
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
)

_MOST_ATTEMPTS = 5
_COMMIT_WITHIN_MS = 1_000
_WANTS_A_READ = frozenset({Reason.NO_EXCHANGE_SNAPSHOT, Reason.STALE_EXCHANGE_STATE})


class Work(msgspec.Struct, eq=False):
    """A plan in hand, on its way to a committed decision."""

    entry: Entry
    plan: Plan
    settled: bool = False
    attempts: int = 0
    read_tried: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """A deny that rests on no state: of what cannot be read, or what could not be decided.

    `error`: why the entry is a dead letter as well; None where the answer says it all.
    """

    entry: Entry
    plan_id: str
    symbol: str | None
    decision: Decision
    error: str | None = None


class WhatIsKnown(msgspec.Struct, frozen=True):
    """The channels from which the evaluator learns what its decisions rest on."""

    book: SnapshotBook
    symbol_rules: LatestValue[Mapping[str, SymbolRules]]
    allowlist: LatestValue[Allowlist]
    hedge_mode: LatestValue[bool]
    ledgers_adopted: LatestValue[bool]
    lease: LatestValue[Lease]


class PlanSettler:
    """Brings plans to committed decisions. What it believes of Redis, the commit script verifies."""

    def __init__(
        self,
        store: PlanStore,
        known: WhatIsKnown,
        *,
        clock: Clock,
        redis_clock: RedisClock,
        rules: Rules,
        on_demand: bool,
        writer: DecisionWriter,
        reports: DecisionReports,
    ) -> None:
        """`on_demand`: whether a plan may ask for its symbol's position to be read."""
        self._store = store
        self._known = known
        self._clock = clock
        self._redis_clock = redis_clock
        self._rules = rules
        self._on_demand = on_demand
        self._writer = writer
        self._reports = reports
        self._beliefs = SymbolBeliefs()
        self.redis_changed_ms = 0

    async def settle(self, works: Sequence[Work], fence: str) -> list[Work]:
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
            works, undecidable = self._learn(reply, proposals)
            if undecidable:
                await self.refuse(undecidable, fence)
        return wanting

    async def refuse(self, refusals: Sequence[Refusal], fence: str) -> None:
        """Commit denies that rest on no state; where even that cannot be written, the entry is set aside."""
        created_at_sec = self._clock.now().wall_ms / 1000
        answers: list[Answer] = []
        commits: list[DecisionCommit] = []
        for each in refusals:
            fields = each.entry.fields or {}
            answer = Answer(each.entry.id, each.plan_id, each.symbol, each.decision, None, fields)
            dead_fields: tuple[str, ...] = ()
            if each.error is not None:
                dead_fields = dead_letter(fields, entry_id=each.entry.id, error=each.error)
            answers.append(answer)
            commits.append(
                self._writer.commit(
                    answer,
                    assumed=None,
                    deadline_ms=0,
                    created_at_sec=created_at_sec,
                    dead_fields=dead_fields,
                )
            )
        reply = await self._store.commit_decisions(fence, commits)
        for each, answer, verdict in zip(refusals, answers, reply.verdicts, strict=True):
            if isinstance(verdict, Committed):
                self._reports.decided(answer, reply.now_ms - each.entry.published_ms)
                if each.error is not None:
                    self._reports.buried(each.entry.id, each.error)
            elif isinstance(verdict, Broken):
                letter = dead_letter(each.entry.fields or {}, entry_id=each.entry.id, error=verdict.error)
                await self._store.bury_plan(fence, each.entry.id, letter)
                self._reports.buried(each.entry.id, verdict.error)

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
            redis_changed_ms=self.redis_changed_ms,
            in_allowlist=allowlist is not None and plan.symbol in allowlist.symbols,
            symbol_rules=(known.symbol_rules.value or {}).get(plan.symbol),
            hedge_mode=known.hedge_mode.value,
            hold=belief.state.hold,
            snapshot=None
            if snapshot is None
            else SnapshotView(
                snapshot.legs,
                snapshot.verified_at.wall_ms,
                # Whole milliseconds, and never younger: it is compared, and written into permits.
                math.ceil(snapshot.verified_at.age_sec(now) * 1000) / 1000,
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
            if self._on_demand and not work.read_tried:
                return None
            self._reports.missed_snapshot(plan, enabled=self._on_demand, attempted=work.read_tried)
        answer = Answer(entry.id, plan.plan_id, plan.symbol, decision, case, entry.fields or {})
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

    def _learn(
        self, reply: CommitReply, proposals: Sequence[tuple[Work, Answer]]
    ) -> tuple[list[Work], list[Refusal]]:
        """Take in what the commit found: what has to be decided again, and what never can be."""
        self._redis_clock.told(reply.now_ms, self._clock.now().monotonic_sec)
        again: list[Work] = []
        undecidable: list[Refusal] = []
        for (work, answer), verdict in zip(proposals, reply.verdicts, strict=True):
            symbol = work.plan.symbol
            work.attempts += 1
            match verdict:
                case Committed():
                    self._reports.decided(answer, reply.now_ms - work.entry.published_ms)
                case AlreadyDecided():
                    self._beliefs.forget(symbol)
                case Changed(state):
                    work.settled = state.settled
                    self._beliefs.told(symbol, state)
                    again.append(work)
                case TooLate():
                    self._beliefs.forget(symbol)
                    again.append(work)
                case Broken(error):
                    # A key of our own holds what we never wrote: nothing can be decided on it.
                    self._beliefs.forget(symbol)
                    decision = evaluation_failed(work.attempts)
                    undecidable.append(Refusal(work.entry, work.plan.plan_id, symbol, decision, error))
        return again, undecidable
