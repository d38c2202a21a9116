"""Decides plans and commits the decisions; decides again where Redis holds another state than assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from actors.permit_evaluator.allowed_plans import AllowedPlans
from actors.permit_evaluator.assumed_state import AssumedStates, is_question
from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.committing import PLANS_AT_A_TIME, PlanRefuser, commit_decisions
from actors.permit_evaluator.plans import DecisionInputs, MissingInput, PendingPlan, Refusal
from actors.permit_evaluator.prerequisites import Prerequisites
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import FailureCounter
from brain.decisions.answer import Answer
from brain.decisions.case import Case, Rules
from brain.decisions.decision import decide_on, evaluation_failed, state_contended
from brain.decisions.facts import Facts
from brain.identifiers import FencingToken, PlanId, Symbol
from brain.moment import Moment
from clocks.clocks import Clocks
from monitoring.recent_decisions import RecentDecision
from store.errors import StoreUnavailableError
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
)

_MOST_ATTEMPTS = 5
_COMMIT_WITHIN_MS = 1_000


class PlanDecider:
    """Part of the permit evaluator: decides on assumed states, which the commit script verifies."""

    def __init__(
        self,
        store: PlanStore,
        known: DecisionInputs,
        prerequisites: Prerequisites,
        refuser: PlanRefuser,
        *,
        clocks: Clocks,
        rules: Rules,
        writer: DecisionWriter,
        reports: DecisionReports,
        failures: FailureCounter,
        key_prefix: str,
    ) -> None:
        """`failures` outlives this actor."""
        self._store = store
        self._known = known
        self._prerequisites = prerequisites
        self._refuser = refuser
        self._clocks = clocks
        self._rules = rules
        self._writer = writer
        self._reports = reports
        self._failures = failures
        self._key_prefix = key_prefix
        self._states = AssumedStates()
        self._proposals = 0
        self._allowed = AllowedPlans((rules.permit_ttl_sec + rules.decision_ttl_sec) * 1000)
        self._unsure_until_ms = 0
        self.redis_changed_ms = 0
        self.evicted_ms = 0

    def take_over(self, stored: Mapping[str, SymbolState], now_ms: int) -> None:
        """Begin under a new lease with the open permits in Redis, of which others may have made some.

        Those that Redis evicted before are unknown, until the last that may be among them has ended.
        """
        self._states.begin(stored)
        life_ms = round((self._rules.permit_ttl_sec + self._rules.execution_grace_sec) * 1000)
        unsure_until_ms = self.evicted_ms + life_ms if self.evicted_ms else 0
        self._unsure_until_ms = unsure_until_ms if unsure_until_ms > now_ms else 0

    def all_delivered_again(self) -> None:
        """Confirm all reservations: plans that were not committed have been decided again."""
        self._states.all_answered()

    async def decide_and_commit(self, plans: Sequence[PendingPlan], fence: FencingToken) -> list[PendingPlan]:
        """Decide plans and commit the decisions; return, in order, the plans that lack an input.

        A plan is decided again, on the state in Redis, where that differs from the assumed state.
        """
        plans = await self._without_repeated(plans, fence)
        wanting: list[PendingPlan] = []
        place = {pending.entry.id: number for number, pending in enumerate(plans)}
        while plans:
            begun_sec, others_sec, changed_ms = trio.current_time(), 0.0, self.redis_changed_ms
            found, wanted_before = self._found_meanwhile(), len(wanting)
            proposals: list[tuple[PendingPlan, Answer]] = []
            commits: list[DecisionCommit] = []
            # Plans that are decided again came before the waiting plans of their symbol, and do not wait.
            waiting_symbols: set[Symbol] = set()
            asked_symbols: set[Symbol] = set()
            # A plan that was published twice is proposed once: a second proposal would count the first one's
            # reservation, and replace it among the assumed permits.
            proposed: set[PlanId] = set()
            behind: list[PendingPlan] = []
            for number, pending in enumerate(plans):
                if number and number % PLANS_AT_A_TIME == 0:
                    paused_sec = trio.current_time()
                    await trio.lowlevel.checkpoint()
                    others_sec += trio.current_time() - paused_sec
                if pending.symbol in asked_symbols or pending.plan.plan_id in proposed:
                    behind.append(pending)
                    continue
                answer_and_commit = None
                if pending.symbol not in waiting_symbols:
                    with self._failures.attributed_to((pending.entry.id,)):
                        answer_and_commit = self._propose(pending)
                if answer_and_commit is None:
                    wanting.append(pending)
                    waiting_symbols.add(pending.symbol)
                else:
                    proposed.add(pending.plan.plan_id)
                    proposals.append((pending, answer_and_commit[0]))
                    commits.append(answer_and_commit[1])
                    if is_question(answer_and_commit[1].assumed):
                        asked_symbols.add(pending.symbol)
            # Nothing runs from here until the commit is sent. It compares the symbols' states, not these.
            if changed_ms != self.redis_changed_ms:
                raise StoreUnavailableError("another run of Redis was found while plans were decided")
            if found != self._found_meanwhile():
                # All are decided again: those before it rest on what is trusted no longer.
                for pending, _ in proposals:
                    self._states.not_committed(pending.symbol, pending.plan.plan_id, pending.entry.id)
                del wanting[wanted_before:]
                continue
            if not commits:
                break
            self._reports.evaluated(len(commits), trio.current_time() - begun_sec - others_sec)
            with self._failures.attributed_to([commit.entry_id for commit in commits]):
                reply = await commit_decisions(self._store, self._clocks, fence, commits)
            again, undecidable = await self._learn(reply, proposals)
            await self._refuser.refuse(undecidable, fence)
            again = sorted([*again, *behind], key=lambda pending: place[pending.entry.id])
            plans = await self._without_repeated(again, fence)
        return sorted(wanting, key=lambda pending: place[pending.entry.id])

    def _found_meanwhile(self) -> tuple[int, Moment | None]:
        """Return when keys were last found evicted, and trust in the stream lost: decisions rest on both."""
        return self.evicted_ms, self._known.book.trust_lost_at

    async def _without_repeated(
        self, plans: Sequence[PendingPlan], fence: FencingToken
    ) -> Sequence[PendingPlan]:
        """Acknowledge plans that this process allowed under another entry, and return the others.

        The commit script finds this by the plan's mark too, unless Redis has evicted it.
        """
        now_ms, other = self._clocks.redis_now_ms(), self._allowed.has_other
        repeated = [each.entry.id for each in plans if other(each.plan.plan_id, each.entry.id, now_ms)]
        if not repeated:
            return plans
        await self._store.plans.acknowledge(fence, repeated)
        for entry_id in repeated:
            self._failures.done(entry_id)
        return [pending for pending in plans if pending.entry.id not in repeated]

    def _propose(self, pending: PendingPlan) -> tuple[Answer, DecisionCommit] | None:
        """Decide on the assumed state; None where the decision lacks an input that was not fetched yet."""
        self._proposals += 1
        now = self._clocks.now()
        plan, entry = pending.plan, pending.entry
        now_ms = self._clocks.redis.now_ms(now)
        self._states.not_committed(plan.symbol, plan.plan_id, entry.id)
        assumed = self._states.of(plan.symbol)
        known = self._known
        open_permits = assumed.live_permits(now_ms)
        lost_permits = assumed.lost_permits(now_ms, known.results.has_ended)
        ledger = assumed.state.ledger
        allowlist = known.allowlist.value
        case = Case(
            plan=plan,
            # The estimate of Redis's clock may be a round trip behind.
            entry_ms=None if entry.published_ms is None else min(entry.published_ms, now_ms),
            now_ms=now_ms,
            settled=pending.settled,
            redis_changed_ms=self.redis_changed_ms,
            evicted_ms=self.evicted_ms,
            reservations_unsure_until_ms=self._unsure_until_ms,
            key_prefix=self._key_prefix,
            in_allowlist=allowlist is not None and plan.symbol in allowlist.symbols,
            symbol_rules=(known.symbol_rules.value or {}).get(plan.symbol),
            hedge_mode=known.hedge_mode.value,
            hold=assumed.state.hold,
            snapshot=known.snapshot(plan.symbol, ledger.last_order_time_epoch, now, self._clocks.redis),
            ledger=ledger,
            cooldown_text=assumed.state.cooldown,
            open_permits=open_permits + lost_permits,
            rules=self._rules,
            exchange_known=known.exchange_known,
        )
        basis = assumed.basis(len(open_permits), settled=pending.settled)
        facts = Facts(case)
        if pending.attempts >= _MOST_ATTEMPTS:
            decision, commit_basis = state_contended(pending.attempts), None
        else:
            decision, commit_basis = decide_on(facts), basis
        pending.missing = self._prerequisites.missing(pending, decision, assumed, case)
        if pending.missing is MissingInput.STATE:
            pending.missing, commit_basis = None, assumed.question(settled=pending.settled)
        elif pending.missing is not None:
            return None
        answer = Answer(entry.id, plan.plan_id, plan.symbol, decision, case, entry.fields or {})
        commit = self._writer.commit(
            answer,
            assumed=commit_basis,
            deadline_ms=self._deadline_ms(case) if decision.allow else 0,
            created_at_sec=now_ms / 1000,
            proposal=f".{now_ms}.{self._proposals}",
            not_before_ms=now_ms - _COMMIT_WITHIN_MS,
            facts=facts,
        )
        if reservation := self._writer.reserved(answer, now_ms):
            self._states.reserved(reservation, plan.symbol, entry.id, commit.permits_version)
        return answer, commit

    def _deadline_ms(self, case: Case) -> int:
        """Return the last moment (Redis's clock, epoch ms) at which an ALLOW on `case` is still true."""
        fresh_for_sec = self._rules.stale_threshold_sec - (case.snapshot.age_sec if case.snapshot else 0)
        published_ms = case.now_ms if case.entry_ms is None else case.entry_ms
        return min(
            published_ms + round(self._rules.plan_max_age_sec * 1000),
            case.now_ms + int(fresh_for_sec * 1000),
            case.now_ms + _COMMIT_WITHIN_MS,
        )

    async def _learn(
        self, reply: CommitReply, proposals: Sequence[tuple[PendingPlan, Answer]]
    ) -> tuple[list[PendingPlan], list[Refusal]]:
        """Apply a commit's verdicts; return plans to be decided again, and refusals of undecidable ones."""
        again: list[PendingPlan] = []
        undecidable: list[Refusal] = []
        for first in range(0, len(proposals), PLANS_AT_A_TIME):
            if first:
                # What is committed is learnt and reported, whatever ends this task.
                await trio.lowlevel.cancel_shielded_checkpoint()
            some = slice(first, first + PLANS_AT_A_TIME)
            reply_to_some = CommitReply(reply.now_ms, reply.verdicts[some])
            self._learn_some(reply_to_some, proposals[some], again, undecidable)
        return again, undecidable

    def _learn_some(
        self,
        reply: CommitReply,
        proposals: Sequence[tuple[PendingPlan, Answer]],
        again: list[PendingPlan],
        undecidable: list[Refusal],
    ) -> None:
        decided: list[RecentDecision] = []
        try:
            for (pending, answer), verdict in zip(proposals, reply.verdicts, strict=True):
                symbol, plan_id = pending.symbol, pending.plan.plan_id
                pending.attempts += 1
                if isinstance(verdict, Committed):
                    self._states.committed(symbol, plan_id)
                else:
                    self._states.not_committed(symbol, plan_id, pending.entry.id)
                match verdict:
                    case Committed():
                        self._failures.done(pending.entry.id)
                        if answer.decision.allow:
                            self._allowed.add(plan_id, pending.entry.id, reply.now_ms)
                        self._prerequisites.report_missed(pending, answer.decision)
                        decided.append(RecentDecision(answer, reply.now_ms, pending.entry.published_ms))
                    case AlreadyDecided():
                        self._failures.done(pending.entry.id)
                    case Changed(state):
                        pending.settled = state.settled
                        with self._failures.attributed_to((pending.entry.id,)):
                            self._states.learn(symbol, state, self._known.results.finished(symbol))
                        again.append(pending)
                    case TooLate():
                        again.append(pending)
                    case Broken(error):
                        # A key of our own holds text that we never wrote: no decision can rest on it.
                        decision = evaluation_failed(pending.attempts)
                        undecidable.append(Refusal(pending.entry, plan_id, symbol, decision, error))
        finally:
            # Committed decisions are reported even where an error ends this.
            if decided:
                self._reports.decided(decided)
