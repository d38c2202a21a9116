"""Decides plans and commits the decisions, again where Redis holds something else than believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from actors.permit_evaluator.assumed_state import Belief, SymbolBeliefs, is_question
from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.plans import Need, Refusal, WhatIsKnown, Work
from actors.permit_evaluator.prerequisites import BOOKED_WITHIN_SEC, READ_WITHIN_MS
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import Failures
from brain.decisions.answer import Answer
from brain.decisions.case import Case, Rules, SnapshotView
from brain.decisions.dead_letter import dead_letter
from brain.decisions.decision import decide_on, evaluation_failed, state_contended
from brain.decisions.facts import Facts
from brain.plans.permit import Decision, Kind, Reason
from clocks.clocks import Clocks
from monitoring.recent_decisions import RecentDecision
from store.protocol import PlanStore
from store.records import (
    AlreadyDecided,
    Broken,
    Changed,
    CommitReply,
    Committed,
    DecisionCommit,
    SymbolState,
    TooLate,
    id_order,
)

_MOST_ATTEMPTS = 5
_COMMIT_WITHIN_MS = 1_000
#: More than are allowed within the life of a plan's mark, but in a flood.
_MOST_ALLOWED = 20_000
_WANTS_A_READ = frozenset({Reason.NO_EXCHANGE_SNAPSHOT, Reason.STALE_EXCHANGE_STATE})
#: Denies that rest on what Redis holds: asking it comes before waiting for a result.
_RESTS_ON_REDIS = frozenset(
    {
        Reason.RECONCILE_REQUIRED_SIDE_MISMATCH,
        Reason.RECONCILE_REQUIRED_QTY_MISMATCH,
        Reason.IN_FLIGHT_PERMIT,
    }
)
#: A fill that is booked a moment later may turn each of these.
_A_RESULT_MAY_TURN = _RESTS_ON_REDIS | {
    Reason.NO_POSITION,
    Reason.REDUCE_ONLY_SIDE_MISMATCH,
    Reason.WOULD_FLIP_POSITION,
}


class PlanSettler:
    """Brings plans to committed decisions. What it believes of Redis, the commit script verifies."""

    def __init__(
        self,
        store: PlanStore,
        known: WhatIsKnown,
        *,
        clocks: Clocks,
        rules: Rules,
        on_demand: bool,
        writer: DecisionWriter,
        reports: DecisionReports,
        failures: Failures,
        key_prefix: str,
    ) -> None:
        """`on_demand`: whether a plan may ask for its symbol's position to be read. `failures` outlives this
        actor."""
        self._store = store
        self._known = known
        self._clocks = clocks
        self._rules = rules
        self._on_demand = on_demand
        self._writer = writer
        self._reports = reports
        self._failures = failures
        self._key_prefix = key_prefix
        self._beliefs = SymbolBeliefs()
        self._proposals = 0
        self._mark_ttl_ms = (rules.permit_ttl_sec + rules.decision_ttl_sec) * 1000
        #: By plan: the entry under which it was allowed, and until when its mark lives (Redis's clock, ms).
        self._allowed: dict[str, tuple[str, float]] = {}
        self._unsure_until_ms = 0
        self.redis_changed_ms = 0
        self.evicted_ms = 0

    def take_over(self, stored: Mapping[str, SymbolState], now_ms: int) -> None:
        """Begin with the open permits that Redis has, of which others may have made some.

        Those that it evicted before are unknown, until the last that may be among them has ended.
        """
        self._beliefs.begin(stored)
        life_ms = round((self._rules.permit_ttl_sec + self._rules.execution_grace_sec) * 1000)
        unsure_until_ms = self.evicted_ms + life_ms if self.evicted_ms else 0
        self._unsure_until_ms = unsure_until_ms if unsure_until_ms > now_ms else 0

    def all_delivered_again(self) -> None:
        """Whatever was not committed has been decided again."""
        self._beliefs.all_answered()

    async def settle(self, works: Sequence[Work], fence: str) -> list[Work]:
        """Decide and commit; answers the works that need something fetched first, in order.

        What Redis holds otherwise than believed is decided again on what it holds.
        """
        works = await self._without_repeated(works, fence)
        wanting: list[Work] = []
        place = {work.entry.id: number for number, work in enumerate(works)}
        while works:
            begun_sec = self._clocks.now().monotonic_sec
            proposals: list[tuple[Work, Answer]] = []
            commits: list[DecisionCommit] = []
            # What is decided again came before whatever waits of its symbol, and does not wait for it.
            waiting_symbols: set[str] = set()
            asked_symbols: set[str] = set()
            # A plan that was published twice is proposed once: a second proposal would see the first one's
            # reservation, and take its place among the permits that this process knows of.
            proposed: set[str] = set()
            behind: list[Work] = []
            for work in works:
                if work.plan.symbol in asked_symbols or work.plan.plan_id in proposed:
                    behind.append(work)
                    continue
                answer_and_commit = None
                if work.plan.symbol not in waiting_symbols:
                    with self._failures.blamed_on((work.entry.id,)):
                        answer_and_commit = self._propose(work)
                if answer_and_commit is None:
                    wanting.append(work)
                    waiting_symbols.add(work.plan.symbol)
                else:
                    proposed.add(work.plan.plan_id)
                    proposals.append((work, answer_and_commit[0]))
                    commits.append(answer_and_commit[1])
                    if is_question(answer_and_commit[1].assumed):
                        asked_symbols.add(work.plan.symbol)
            if not commits:
                break
            decided_sec = self._clocks.now().monotonic_sec
            self._reports.evaluated(len(commits), decided_sec - begun_sec)
            with self._failures.blamed_on([commit.entry_id for commit in commits]):
                reply = await self._commit(fence, commits)
            again, undecidable = self._learn(reply, proposals)
            if undecidable:
                await self.refuse(undecidable, fence)
            again = sorted([*again, *behind], key=lambda work: place[work.entry.id])
            works = await self._without_repeated(again, fence)
        return sorted(wanting, key=lambda work: place[work.entry.id])

    async def _without_repeated(self, works: Sequence[Work], fence: str) -> Sequence[Work]:
        """The works but for plans that this process allowed under another entry: those are acknowledged.

        The plan's mark says the same, unless Redis has evicted it.
        """
        repeated = [work.entry.id for work in works if self._is_repeated(work)]
        if not repeated:
            return works
        await self._store.acknowledge_plans(fence, repeated)
        for entry_id in repeated:
            self._failures.done(entry_id)
        return [work for work in works if work.entry.id not in repeated]

    def _is_repeated(self, work: Work) -> bool:
        known = self._allowed.get(work.plan.plan_id)
        if known is None or known[0] == work.entry.id:
            return False
        return self._clocks.redis_now_ms() < known[1]

    async def refuse(self, refusals: Sequence[Refusal], fence: str) -> None:
        """Commit denies that rest on no state; where even that cannot be written, the entry is set aside."""
        created_at_sec = self._clocks.redis_now_ms() / 1000
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
        reply = await self._commit(fence, commits)
        for each, answer, verdict in zip(refusals, answers, reply.verdicts, strict=True):
            if isinstance(verdict, Committed):
                self._reports.decided([RecentDecision(answer, reply.now_ms, each.entry.published_ms)])
                if each.error is not None:
                    self._reports.buried(each.entry.id, each.error)
            elif isinstance(verdict, Broken):
                letter = dead_letter(each.entry.fields or {}, entry_id=each.entry.id, error=verdict.error)
                await self._store.bury_plan(fence, each.entry.id, letter)
                self._reports.buried(each.entry.id, verdict.error)
            self._failures.done(each.entry.id)

    async def _commit(self, fence: str, commits: Sequence[DecisionCommit]) -> CommitReply:
        sent = self._clocks.now()
        reply = await self._store.commit_decisions(fence, commits)
        self._clocks.redis.told(reply.now_ms, sent, self._clocks.now())
        return reply

    def _propose(self, work: Work) -> tuple[Answer, DecisionCommit] | None:
        """A decision on what is believed now; None when it hangs on something that was not asked for yet."""
        self._proposals += 1
        now = self._clocks.now()
        plan, entry = work.plan, work.entry
        now_ms = self._clocks.redis.now_ms(now)
        self._beliefs.not_committed(plan.symbol, plan.plan_id, entry.id)
        belief = self._beliefs.of(plan.symbol)
        known = self._known
        open_permits = belief.live_permits(now_ms)
        lost_permits = belief.lost_permits(now_ms, known.results.has_ended)
        snapshot = known.book.get(plan.symbol)
        ledger = belief.state.ledger
        shows_results = snapshot is not None and known.shows_results(
            snapshot, ledger.last_order_time_epoch, self._clocks.redis
        )
        allowlist = known.allowlist.value
        case = Case(
            plan=plan,
            # Redis's clock as known may be a round trip behind.
            entry_ms=None if entry.published_ms is None else min(entry.published_ms, now_ms),
            now_ms=now_ms,
            settled=work.settled,
            redis_changed_ms=self.redis_changed_ms,
            evicted_ms=self.evicted_ms,
            reservations_unsure_until_ms=self._unsure_until_ms,
            key_prefix=self._key_prefix,
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
                shows_results,
            ),
            ledger=ledger,
            cooldown_text=belief.state.cooldown,
            open_permits=open_permits + lost_permits,
            rules=self._rules,
            exchange_known=known.exchange_known,
        )
        assumed = belief.assumed(len(open_permits), settled=work.settled)
        facts = Facts(case)
        if work.attempts >= _MOST_ATTEMPTS:
            decision, assumed_or_none = state_contended(work.attempts), None
        else:
            decision, assumed_or_none = decide_on(facts), assumed
        if decision.reason is Reason.RECONCILE_REQUIRED_QTY_MISMATCH and not belief.told:
            # Denied for a ledger of which nobody has said that it is missing.
            assumed_or_none = belief.question(settled=work.settled)
        else:
            work.need = self._need(work, decision, belief, case)
            outdated = belief.results_settled != known.results.settled(plan.symbol)
            if work.need is Need.RESULT and outdated and decision.reason in _RESTS_ON_REDIS:
                # A commit would find that Redis holds something else: asking costs less than waiting.
                work.need, assumed_or_none = None, belief.question(settled=work.settled)
            if work.need is not None:
                return None
        answer = Answer(entry.id, plan.plan_id, plan.symbol, decision, case, entry.fields or {})
        commit = self._writer.commit(
            answer,
            assumed=assumed_or_none,
            deadline_ms=self._deadline_ms(case) if decision.allow else 0,
            created_at_sec=now_ms / 1000,
            proposal=f".{now_ms}.{self._proposals}",
            not_before_ms=now_ms - _COMMIT_WITHIN_MS,
            facts=facts,
        )
        if reservation := self._writer.reserved(answer, now_ms):
            self._beliefs.reserved(reservation, plan.symbol, entry.id, commit.permits_version)
        return answer, commit

    def _need(self, work: Work, decision: Decision, belief: Belief, case: Case) -> Need | None:
        """What might let a denied plan be decided otherwise, and was not asked for yet."""
        needs: list[Need] = []
        if decision.reason in _WANTS_A_READ:
            if case.snapshot is not None and not case.snapshot.shows_results:
                needs.append(Need.PUSH)
            # An exchange that has not even told its symbols is away.
            if self._on_demand and self._known.exchange_known:
                needs.append(Need.POSITION)
        elif decision.reason is Reason.RECONCILE_REQUIRED_QTY_MISMATCH and belief.has_no_ledger:
            needs.append(Need.LEDGER)
        elif self._may_turn(decision) and self._result_may_come(work, case):
            needs.append(Need.RESULT)
        elif decision.reason is Reason.SYMBOL_NOT_ON_EXCHANGE and case.symbol_rules is None:
            needs += [Need.RULES] if self._known.rules_due(self._clocks.now()) else []
        return next((need for need in needs if need not in work.tried), None)

    def _may_turn(self, decision: Decision) -> bool:
        """Return True if a result from just before the plan may turn the deny.

        An open or add behind the permit of another one is the same answer either way: what that one opened
        is no reason to open more at once, and it is not worth the wait.
        """
        entering = decision.kind in (Kind.OPEN, Kind.ADD)
        waits_for_permit = decision.reason is Reason.IN_FLIGHT_PERMIT
        return decision.reason in _A_RESULT_MAY_TURN and not (entering and waits_for_permit)

    def _result_may_come(self, work: Work, case: Case) -> bool:
        """Return True if a result from before the plan is being booked or may not have been delivered yet."""
        results, published_ms = self._known.results, case.entry_ms
        if results.taken_over_at is None:
            return False  # No result is read yet.
        now = self._clocks.now()
        if results.unsettled(work.plan.symbol, now, BOOKED_WITHIN_SEC):
            return True
        if published_ms is None or case.now_ms - published_ms >= READ_WITHIN_MS:
            return False
        read_until_ms = id_order(results.read_until)[0]
        # Ids of results that are ahead of Redis's clock do not show what came before the plan.
        all_read = published_ms < read_until_ms <= self._clocks.redis.at_most_ms(now)
        return not all_read and not results.hangs(now, BOOKED_WITHIN_SEC)

    def _deadline_ms(self, case: Case) -> int:
        """The last moment, by Redis's clock, at which an ALLOW on `case` is still true."""
        fresh_for_sec = self._rules.stale_threshold_sec - (case.snapshot.age_sec if case.snapshot else 0)
        published_ms = case.now_ms if case.entry_ms is None else case.entry_ms
        return min(
            published_ms + round(self._rules.plan_max_age_sec * 1000),
            case.now_ms + int(fresh_for_sec * 1000),
            case.now_ms + _COMMIT_WITHIN_MS,
        )

    def _learn(
        self, reply: CommitReply, proposals: Sequence[tuple[Work, Answer]]
    ) -> tuple[list[Work], list[Refusal]]:
        """Take in what the commit found: what has to be decided again, and what never can be."""
        again: list[Work] = []
        undecidable: list[Refusal] = []
        decided: list[RecentDecision] = []
        try:
            for (work, answer), verdict in zip(proposals, reply.verdicts, strict=True):
                symbol, plan_id = work.plan.symbol, work.plan.plan_id
                work.attempts += 1
                if isinstance(verdict, Committed):
                    self._beliefs.committed(symbol, plan_id)
                else:
                    self._beliefs.not_committed(symbol, plan_id, work.entry.id)
                match verdict:
                    case Committed():
                        self._failures.done(work.entry.id)
                        if answer.decision.allow:
                            self._remember_allowed(plan_id, work.entry.id, reply.now_ms)
                        if answer.decision.reason in _WANTS_A_READ:
                            attempted = Need.POSITION in work.tried
                            self._reports.missed_snapshot(
                                work.plan, enabled=self._on_demand, attempted=attempted
                            )
                        decided.append(RecentDecision(answer, reply.now_ms, work.entry.published_ms))
                    case AlreadyDecided():
                        self._failures.done(work.entry.id)
                    case Changed(state):
                        work.settled = state.settled
                        with self._failures.blamed_on((work.entry.id,)):
                            self._beliefs.told(symbol, state, self._known.results.settled(symbol))
                        again.append(work)
                    case TooLate():
                        again.append(work)
                    case Broken(error):
                        # A key of our own holds what we never wrote: nothing can be decided on it.
                        decision = evaluation_failed(work.attempts)
                        undecidable.append(Refusal(work.entry, plan_id, symbol, decision, error))
        finally:
            # What was written is told, whatever comes of the rest.
            if decided:
                self._reports.decided(decided)
        return again, undecidable

    def _remember_allowed(self, plan_id: str, entry_id: str, now_ms: int) -> None:
        self._allowed[plan_id] = entry_id, now_ms + self._mark_ttl_ms
        if len(self._allowed) > _MOST_ALLOWED:
            del self._allowed[next(iter(self._allowed))]
