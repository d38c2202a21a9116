"""Judges plans on the state as last read, and turns each judgement into what is written for it."""

from __future__ import annotations

from decimal import Decimal
from typing import TypedDict

import msgspec

from actors.governor.account import AccountView
from actors.governor.cases import CaseMaking
from actors.governor.observations import Observation, Observations, of_judgement
from actors.governor.plans import GovernedPlan
from actors.governor.rules import GovernorActorRules
from actors.governor.state import GovernedState
from actors.governor.texts import JudgementTexts, dead_fields, disarm_of
from actors.stream_consumer import MOST_FAILURES
from brain.governor import inputs
from brain.governor.case import GovernorCase
from brain.governor.facts import is_entry
from brain.governor.grants import Grant, grant_of, grant_text
from brain.governor.judgement import Judgement
from brain.governor.judging import evaluation_failed, judge, refuse_malformed, state_contended
from brain.governor.plan_inputs import observed_as
from brain.governor.settling import executed_before
from brain.identifiers import Symbol
from brain.moment import Moment
from brain.numbers import EXACT, ZERO, plain
from brain.plans.plan import MalformedPlan, Plan
from brain.positions.position import Leg
from store.governor_records import BasisPart, GovernedSymbol, GovernorBasis, GovernorCommit, Granted

MOST_ATTEMPTS = 5
#: Of these the score may be the cause: the plan is refused without an observation.
_LAST_FAILURES = 2 * MOST_FAILURES
_HOUR_MS = 3_600_000
#: An open rests on positions, equity and prices that are no older (ms).
_COMMIT_WITHIN_MS = 1_000


class Proposal(msgspec.Struct, frozen=True):
    """A plan with its judgement, None where it is observed alone, and what is written for it."""

    governed: GovernedPlan
    judgement: Judgement | None
    case: GovernorCase | None
    commit: GovernorCommit


class _Texts(TypedDict, total=False):
    permit: str
    block: str
    audit: tuple[str, ...]


class PlanJudging:
    """Part of the judge: each proposal rests on the state with the changes of those before it."""

    def __init__(self, state: GovernedState, cases: CaseMaking, rules: GovernorActorRules) -> None:
        self._state = state
        self._cases = cases
        self._observations = Observations(state, cases, rules.rules.z_alpha)
        self._texts = JudgementTexts(rules)
        self._rules = rules
        self._grant_life_ms = rules.grant_life_ms
        self._mark_ttl_ms, self._permit_ttl_ms = rules.mark_ttl_ms, rules.permit_ttl_ms
        self._plan_max_age_ms = round(rules.rules.plan_max_age_sec * 1000)

    def propose(
        self, governed: GovernedPlan, account: AccountView, version: str, now: Moment, now_ms: int
    ) -> Proposal:
        """Judge or observe a plan at `now`, `now_ms` by Redis's clock, and apply it to the state.

        `version`: of the account behind the batch, whose judgements are written in one step.
        """
        plan, failed = governed.plan, governed.failed
        if isinstance(plan, Plan) and not failed:
            case, leg, name = self._cases.case(governed, plan, account, now, now_ms)
            judgement = judge(case)
            if governed.attempts >= MOST_ATTEMPTS:
                return self._contended(governed, judgement, case, name, now_ms)
            grant = self._grant(case, judgement, leg, now_ms)
            observation = of_judgement(judgement, case, name)
            return self._on_state(governed, plan.symbol, judgement, case, grant, observation, version, now_ms)
        name = observed_as(governed.fields)
        observation = None
        if governed.attempts < MOST_ATTEMPTS and failed < _LAST_FAILURES:
            observation = self._observations.of_score(governed, name, now_ms)
        stats = None if observation is None else observation.stats
        refusal = None
        if failed and plan is not None:
            refusal = evaluation_failed(failed, name, stats)
        elif isinstance(plan, MalformedPlan):
            refusal = refuse_malformed(plan, name, stats)
        return self._observed_alone(governed, refusal, None, observation, now_ms)

    def _contended(
        self, governed: GovernedPlan, judgement: Judgement, case: GovernorCase, name: str, now_ms: int
    ) -> Proposal:
        """Propose a refusal that rests on its statistics alone, and, where those change too, on nothing."""
        observation = None
        if governed.attempts < 2 * MOST_ATTEMPTS:
            observation = self._observations.of_score(governed, name, now_ms)
        stats = None if observation is None else observation.stats
        refusal = state_contended(judgement, governed.attempts, stats)
        return self._observed_alone(governed, refusal, case, observation, now_ms)

    def _observed_alone(
        self,
        governed: GovernedPlan,
        judgement: Judgement | None,
        case: GovernorCase | None,
        observation: Observation | None,
        now_ms: int,
    ) -> Proposal:
        """Propose an observation, or a refusal, that rests on no more than the statistics that it changes."""
        symbol = governed.symbol
        basis: GovernorBasis | None = None
        stats: tuple[str, ...] = ()
        events: tuple[tuple[str, ...], ...] = ()
        if observation is not None and symbol is not None:
            stored, stats = self._state.symbols[symbol], observation.texts
            basis = self._basis(symbol, now_ms, "entry" if stats[0] == "entry" else "exit")
            events = self._observations.events(symbol, stored, observation, now_ms)
            self._apply(symbol, stored, observation, None, None, "")
        commit = GovernorCommit(
            entry_id=governed.entry.id,
            plan_id=governed.plan_id,
            symbol=symbol,
            basis=basis,
            deadline_ms=0,
            version="",
            mark="observed" if judgement is None else "refused",
            mark_ttl_ms=self._mark_ttl_ms,
            permit_ttl_ms=self._permit_ttl_ms,
            stats=stats,
            events=events,
            dead_fields=dead_fields(governed),
            was_observed=governed.was_observed,
            **self._texts_of(governed, judgement, case, now_ms),
        )
        return Proposal(governed, judgement, case, commit)

    def _texts_of(
        self, governed: GovernedPlan, judgement: Judgement | None, case: GovernorCase | None, now_ms: int
    ) -> _Texts:
        if judgement is None:
            return {}
        texts = self._texts
        return {
            "permit": texts.permit(governed, judgement, case, now_ms),
            "block": texts.block(governed, judgement, case, now_ms),
            "audit": texts.audit(governed, judgement, case, now_ms),
        }

    def _on_state(
        self,
        governed: GovernedPlan,
        symbol: Symbol,
        judgement: Judgement,
        case: GovernorCase,
        grant: Grant | None,
        observation: Observation | None,
        version: str,
        now_ms: int,
    ) -> Proposal:
        """Propose a judgement on the state, which it may change."""
        basis = self._basis(symbol, now_ms, "" if is_entry(case.kind) else "close")
        stored = basis.symbol
        granted = None
        if judgement.granted:
            granted = _counted(grant, stored, now_ms)
        commit = GovernorCommit(
            entry_id=governed.entry.id,
            plan_id=governed.plan_id,
            symbol=symbol,
            basis=basis,
            deadline_ms=0 if granted is None else self._deadline_ms(governed, judgement, now_ms),
            version="" if grant is None else version,
            mark="refused" if granted is None else "granted",
            mark_ttl_ms=self._mark_ttl_ms,
            permit_ttl_ms=self._permit_ttl_ms,
            granted=granted,
            stats=() if observation is None else observation.texts,
            disarm=disarm_of(judgement, governed),
            events=self._observations.events(symbol, stored, observation, now_ms),
            was_observed=governed.was_observed,
            **self._texts_of(governed, judgement, case, now_ms),
        )
        self._apply(symbol, stored, observation, grant, granted, version)
        return Proposal(governed, judgement, case, commit)

    def _basis(self, symbol: Symbol, now_ms: int, part: BasisPart) -> GovernorBasis:
        state, from_ms = self._state, now_ms - _HOUR_MS + 1
        stored = state.symbols[symbol]
        window = stored.window.since(from_ms)
        if window is not stored.window:
            stored = stored._replace(window=window)
        return GovernorBasis(
            account=state.account,
            grants=state.live,
            symbol=stored,
            window_from_ms=from_ms,
            date=state.date,
            part=part,
        )

    def _grant(self, case: GovernorCase, judgement: Judgement, leg: Leg | None, now_ms: int) -> Grant | None:
        if not judgement.granted:
            return None
        newest_first = self._state.entries.newest_first(case.plan.symbol)
        return grant_of(
            case,
            judgement,
            leg=leg,
            granted_ms=now_ms,
            life_ms=self._grant_life_ms,
            executed_before_sec=executed_before(case.counts.last_exec_sec, newest_first),
        )

    def _deadline_ms(self, governed: GovernedPlan, judgement: Judgement, now_ms: int) -> int:
        """Return the last moment for a grant: the plan's age limit, and of opens 1 s from now."""
        published_ms = governed.entry.published_ms
        expires_ms = (now_ms if published_ms is None else published_ms) + self._plan_max_age_ms
        if judgement.eval_type == "ENTRY":
            return min(expires_ms, now_ms + _COMMIT_WITHIN_MS)
        return expires_ms

    def _apply(
        self,
        symbol: Symbol,
        stored: GovernedSymbol,
        observation: Observation | None,
        grant: Grant | None,
        granted: Granted | None,
        version: str,
    ) -> None:
        """Change the state as the commit will: what comes behind it rests on that."""
        state = self._state
        entry, leave = stored.entry, stored.exit
        if observation is not None:
            name, *written = observation.texts
            texts = tuple([text.encode() if text else None for text in written])
            if name == "entry":
                entry = texts
            else:
                leave = texts = (*texts, *leave[len(texts) :])
            self._cases.observed(symbol, name, texts, observation.stats)
        counts = granted or _NOTHING
        state.symbols[symbol] = GovernedSymbol(
            stored.window.with_grant(counts.granted_ms) if counts.counts else stored.window,
            stored.opened if counts.opened is None else counts.opened.encode(),
            stored.reduced if counts.reduced is None else counts.reduced.encode(),
            stored.last_exec if counts.last_exec_sec is None else counts.last_exec_sec.encode(),
            entry,
            leave,
            stored.blacklisted,
            stored.budget,
            stored.allocation,
            stored.efficiency,
            stored.countable,
        )
        if grant is not None:
            state.granted(grant, counts.reservation)
            state.versioned(version)


_NOTHING = Granted(reservation="", granted_ms=0, counts=False)


def _counted(grant: Grant | None, stored: GovernedSymbol, now_ms: int) -> Granted:
    """Return a grant's part in the counts. An UPDATE_SL reserves nothing and counts nowhere."""
    if grant is None:
        return Granted(reservation="", granted_ms=now_ms, counts=False)
    text = grant_text(grant)
    if not grant.enters:
        reduced = plain(EXACT.add(_sum(stored.reduced), grant.notional))
        return Granted(reservation=text, granted_ms=now_ms, counts=False, reduced=reduced)
    return Granted(
        reservation=text,
        granted_ms=now_ms,
        counts=True,
        opened=plain(EXACT.add(_sum(stored.opened), grant.notional)),
        last_exec_sec=plain(grant.granted_sec),
    )


def _sum(text: bytes | None) -> Decimal:
    """Return a sum of the day; one that cannot be read begins anew."""
    return inputs.read_sum(text) or ZERO
