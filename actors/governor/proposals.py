"""Judges plans on the state as last read, and turns each judgement into what is written for it."""

from __future__ import annotations

import hmac
from decimal import Decimal

import msgspec

from actors.governor.account import AccountView
from actors.governor.errors import ErrorCount
from actors.governor.plans import GovernedPlan
from actors.governor.positions import AccountPositions, mark_of
from actors.governor.rules import GovernorActorRules
from actors.governor.state import GovernedState
from brain.decisions.dead_letter import dead_letter
from brain.decisions.permit_text import with_signature
from brain.execution.switches import kill_switch_is_on, read_trading_state
from brain.governor import inputs
from brain.governor.case import GovernorCase
from brain.governor.grants import Grant, epoch_sec, grant_of, grant_text
from brain.governor.judgement import Judgement
from brain.governor.judging import evaluation_failed, judge, refuse_malformed, state_contended
from brain.governor.kill_score import KillStats, observe, stats_texts
from brain.governor.permit_text import block_json, permit_json
from brain.governor.plan_inputs import observed_as, planned_order, read_leverage
from brain.governor.reasons import GUARDS
from brain.governor.record import audit_fields
from brain.governor.settling import executed_before
from brain.identifiers import FencingToken, Symbol
from brain.moment import Moment
from brain.numbers import EXACT, ZERO, plain
from brain.plans.plan import MalformedPlan, Plan
from brain.positions.position import Leg
from brain.text_fields import text_fields
from channels import LatestValue
from store.governor_records import Disarm, GovernedSymbol, GovernorBasis, GovernorCommit, Granted

MOST_ATTEMPTS = 5
_HOUR_MS = 3_600_000
#: An open rests on positions, equity and prices that are no older (ms).
_COMMIT_WITHIN_MS = 1_000
_JSON = msgspec.json.Encoder()


class Proposal(msgspec.Struct, frozen=True):
    """A plan with its judgement, None where it is observed alone, and what is written for it."""

    governed: GovernedPlan
    judgement: Judgement | None
    case: GovernorCase | None
    commit: GovernorCommit


class RedisChanges(msgspec.Struct):
    """First sight of a new run of Redis, and of evicted keys (Redis's clock, ms); 0: never."""

    redis_changed_ms: int = 0
    evicted_ms: int = 0


class PlanJudging:
    """Part of the judge: each proposal rests on the state with the changes of those before it."""

    def __init__(
        self,
        state: GovernedState,
        positions: AccountPositions,
        hedge_mode: LatestValue[bool],
        changes: RedisChanges,
        errors: ErrorCount,
        rules: GovernorActorRules,
    ) -> None:
        self._state = state
        self._positions = positions
        self._hedge_mode = hedge_mode
        self._changes = changes
        self._errors = errors
        self._actor_rules = rules
        self._rules = rules.rules

    def propose(
        self, governed: GovernedPlan, account: AccountView, fence: FencingToken, now: Moment, now_ms: int
    ) -> Proposal:
        """Judge or observe a plan at `now`, `now_ms` by Redis's clock, and apply it to the state."""
        if governed.failed:
            refusal = evaluation_failed(governed.failed)
            return self._proposal(governed, refusal, None, now_ms, rests_on_state=False)
        match governed.plan:
            case Plan() as plan:
                return self._judge(governed, plan, account, fence, now, now_ms)
            case MalformedPlan() as malformed:
                stats, kind = self._observe(governed, now_ms)
                refusal = refuse_malformed(malformed, kind, stats)
                return self._proposal(governed, refusal, None, now_ms, stats=stats, observed_as=kind)
        stats, kind = self._observe(governed, now_ms)
        return self._proposal(governed, None, None, now_ms, stats=stats, observed_as=kind)

    def _judge(
        self,
        governed: GovernedPlan,
        plan: Plan,
        account: AccountView,
        fence: FencingToken,
        now: Moment,
        now_ms: int,
    ) -> Proposal:
        state, symbol = self._state, self._state.symbols[plan.symbol]
        legs, snapshot = self._positions.fresh_legs(plan.symbol, now)
        order = planned_order(plan, legs, hedge_mode=self._hedge_mode.value)
        entry_ms = governed.entry.published_ms
        switches, neighbours = state.account.switches, symbol
        budget = inputs.enforced_budget(neighbours.budget, now_ms)
        target = inputs.enforced_target(neighbours.allocation, now_ms)
        is_entry = order.kind in ("open", "add")
        stats, _ = inputs.read_stats(symbol.entry if is_entry else symbol.exit)
        held = None if state.unreadable else account.held
        case = GovernorCase(
            plan=plan,
            kind=order.kind,
            kind_known=order.kind_known,
            quantity=order.quantity,
            mark_price=mark_of(snapshot, now),
            leverage=read_leverage(governed.fields),
            kill_score=governed.score.value,
            kill_score_problem=governed.score.problem,
            stats=stats,
            observed=governed.observed,
            # The estimate of Redis's clock may be a round trip behind.
            entry_ms=None if entry_ms is None else min(entry_ms, now_ms),
            now_ms=now_ms,
            redis_changed_ms=self._changes.redis_changed_ms,
            evicted_ms=self._changes.evicted_ms,
            trading_state=read_trading_state(switches.trading_state),
            kill_switch=kill_switch_is_on(
                switches.kill, switches.global_kill, switches.mode, lockdown=switches.lockdown
            ),
            book_trusted=account.believed,
            equity=account.equity,
            exposure=None if held is None else state.entries.exposure(held, plan.symbol, now_ms),
            counts=inputs.counts_of(
                symbol.window, symbol.opened, symbol.last_exec, _text(symbol.exit, 4), now_ms
            ),
            neighbours=inputs.neighbours_of(
                state.account.frozen,
                state.account.guards,
                GUARDS,
                symbol.blacklisted,
                budget,
                target,
                inputs.read_efficiency(symbol.efficiency, now_ms),
                inputs.read_heat(state.heat) if self._actor_rules.external_heat else None,
            ),
            errors_5min=self._errors.within(now_ms),
            disarmed_today=state.account.disarmed is not None,
            rules=self._rules,
            key_prefix=self._actor_rules.key_prefix,
        )
        judgement = judge(case)
        if governed.attempts >= MOST_ATTEMPTS:
            contended = state_contended(judgement, governed.attempts)
            return self._proposal(governed, contended, case, now_ms, rests_on_state=False)
        return self._proposal(
            governed,
            judgement,
            case,
            now_ms,
            stats=judgement.stats,
            observed_as="entry" if is_entry else "exit",
            leg=order.leg,
            fence=fence,
        )

    def _observe(self, governed: GovernedPlan, now_ms: int) -> tuple[KillStats | None, str]:
        """Return the statistics with the score of a plan that is not judged, and their evaluation type."""
        kind = observed_as(governed.fields)
        symbol = None if governed.symbol is None else self._state.symbols[governed.symbol]
        score = governed.score.value
        if symbol is None or score is None or not governed.observed:
            return None, kind
        before, _ = inputs.read_stats(symbol.entry if kind == "entry" else symbol.exit)
        entry_ms = governed.entry.published_ms
        at_ms = now_ms if entry_ms is None else min(entry_ms, now_ms)
        return observe(before, score, alpha=self._rules.z_alpha, ts_ms=at_ms), kind

    def _proposal(
        self,
        governed: GovernedPlan,
        judgement: Judgement | None,
        case: GovernorCase | None,
        now_ms: int,
        *,
        stats: KillStats | None = None,
        observed_as: str = "",
        leg: Leg | None = None,
        fence: FencingToken | None = None,
        rests_on_state: bool = True,
    ) -> Proposal:
        symbol = governed.symbol
        based = rests_on_state and symbol is not None and (case is not None or stats is not None)
        basis = self._basis(symbol, now_ms) if based and symbol is not None else None
        stored = None if symbol is None or basis is None else basis.symbol
        texts = _stats_commit(stored, judgement, case, stats, observed_as)
        version, grant = "", None
        if judgement is not None and case is not None and basis is not None and fence is not None:
            grant = self._grant(case, judgement, leg, now_ms)
            version = "" if grant is None else self._state.next_version(fence, now_ms)
        granted = None
        if judgement is not None and judgement.granted and stored is not None:
            granted = _counted(grant, stored, now_ms)
        commit = GovernorCommit(
            entry_id=governed.entry.id,
            plan_id=governed.plan_id,
            symbol=symbol,
            basis=basis,
            deadline_ms=self._deadline_ms(governed, judgement, now_ms),
            version=version,
            mark="observed" if judgement is None else "granted" if judgement.granted else "refused",
            mark_ttl_ms=self._actor_rules.mark_ttl_ms,
            permit_ttl_ms=self._actor_rules.permit_ttl_ms,
            permit=self._permit(governed, judgement, case, now_ms),
            block=self._block(governed, judgement, case, now_ms),
            granted=granted,
            stats=texts,
            disarm=_disarm(judgement, governed),
            audit=self._audit(governed, judgement, case, now_ms),
            events=self._events(stored, texts, governed, now_ms),
            dead_fields=_dead(governed),
        )
        if stored is not None and symbol is not None:
            self._apply(symbol, stored, commit, grant)
        return Proposal(governed, judgement, case, commit)

    def _basis(self, symbol: Symbol, now_ms: int) -> GovernorBasis:
        state, from_ms = self._state, now_ms - _HOUR_MS + 1
        stored = state.symbols[symbol]
        if stored.window and stored.window[0] < from_ms:
            stored = stored._replace(window=tuple(at_ms for at_ms in stored.window if at_ms >= from_ms))
            state.symbols[symbol] = stored
        return GovernorBasis(
            account=state.account,
            grants=state.live,
            symbol=stored,
            window_from_ms=from_ms,
            date=state.date,
        )

    def _grant(self, case: GovernorCase, judgement: Judgement, leg: Leg | None, now_ms: int) -> Grant | None:
        before = None
        if judgement.granted:
            before = executed_before(case.counts.last_exec_sec, self._state.entries.of(case.plan.symbol))
        return grant_of(
            case,
            judgement,
            leg=leg,
            granted_ms=now_ms,
            life_ms=self._actor_rules.grant_life_ms,
            executed_before_sec=before,
        )

    def _deadline_ms(self, governed: GovernedPlan, judgement: Judgement | None, now_ms: int) -> int:
        """Return the last moment for a grant: the plan's age limit, and of opens 1 s from now."""
        if judgement is None or not judgement.granted:
            return 0
        published_ms = governed.entry.published_ms
        expires_ms = (now_ms if published_ms is None else published_ms) + round(
            self._rules.plan_max_age_sec * 1000
        )
        return min(expires_ms, now_ms + _COMMIT_WITHIN_MS) if judgement.eval_type == "ENTRY" else expires_ms

    def _apply(
        self, symbol: Symbol, stored: GovernedSymbol, commit: GovernorCommit, grant: Grant | None
    ) -> None:
        """Change the state as the commit will: what comes behind it rests on that."""
        state, granted = self._state, commit.granted
        if commit.stats:
            stored = _with_stats(stored, commit.stats)
        if granted is not None:
            stored = _with_grant(stored, granted)
        state.symbols[symbol] = stored
        if grant is not None and granted is not None:
            state.granted(grant, granted.reservation)
        if commit.version:
            state.versioned(commit.version)

    def _permit(
        self, governed: GovernedPlan, judgement: Judgement | None, case: GovernorCase | None, now_ms: int
    ) -> str:
        own = self._actor_rules
        if judgement is None or own.shadow or not (judgement.granted or own.deny_permits):
            return ""
        permit = permit_json(
            judgement,
            case,
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            created_at_sec=now_ms / 1000,
            issued_by=own.issued_by,
            key_prefix=None if own.signing_key is None else own.key_prefix,
        )
        if own.signing_key is not None:
            key = own.signing_key.reveal().encode()
            permit = with_signature(permit, hmac.digest(key, permit, "sha256").hex())
        return permit.decode()

    def _block(
        self, governed: GovernedPlan, judgement: Judgement | None, case: GovernorCase | None, now_ms: int
    ) -> str:
        if judgement is None or judgement.granted or self._actor_rules.shadow:
            return ""
        return block_json(
            judgement,
            case,
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            created_at_sec=now_ms / 1000,
            issued_by=self._actor_rules.issued_by,
        ).decode()

    def _audit(
        self, governed: GovernedPlan, judgement: Judgement | None, case: GovernorCase | None, now_ms: int
    ) -> tuple[str, ...]:
        if judgement is None:
            return ()
        return audit_fields(
            judgement,
            case,
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            entry_id=governed.entry.id,
            decided_ms=now_ms,
            issued_by=self._actor_rules.issued_by,
            fields=text_fields(governed.fields),
            shadow=self._actor_rules.shadow,
        )

    def _events(
        self, stored: GovernedSymbol | None, stats: tuple[str, ...], governed: GovernedPlan, now_ms: int
    ) -> tuple[tuple[str, ...], ...]:
        """Return the event of statistics that are started anew because they could not be read."""
        if stored is None or not stats:
            return ()
        before = stored.entry if stats[0] == "entry" else stored.exit
        if not inputs.read_stats(before)[1]:
            return ()
        context = _JSON.encode({"symbol": governed.symbol, "eval_type": stats[0]}).decode()
        return (event("KILL_STATS_RESET", "unreadable", context, now_ms, "statistics start anew"),)


def event(name: str, reason: str, context: str, now_ms: int, action_taken: str) -> tuple[str, ...]:
    """Return the fields of an entry of `governor.events`."""
    return (
        "event", name,
        "reason", reason,
        "context", context,
        "timestamp", plain(epoch_sec(now_ms)),
        "action_taken", action_taken,
    )  # fmt: skip


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


def _stats_commit(
    stored: GovernedSymbol | None,
    judgement: Judgement | None,
    case: GovernorCase | None,
    stats: KillStats | None,
    observed_as: str,
) -> tuple[str, ...]:
    """Return what is written of the statistics, with the begin of a block of exits where it changes."""
    if stored is None:
        return ()
    if judgement is None or case is None or observed_as == "entry":
        return () if stats is None else (observed_as, *stats_texts(stats))
    since_ms = judgement.exit_blocked_since_ms
    since = "" if since_ms is None else str(since_ms)
    if stats is not None:
        return (observed_as, *stats_texts(stats), since)
    if since_ms == case.counts.exit_blocked_since_ms or case.stats is None:
        return ()
    return (observed_as, *stats_texts(case.stats), since)


def _with_stats(stored: GovernedSymbol, stats: tuple[str, ...]) -> GovernedSymbol:
    texts = tuple(text.encode() if text else None for text in stats[1:])
    if stats[0] == "entry":
        return stored._replace(entry=texts)
    since = texts[4] if len(texts) > 4 else _text(stored.exit, 4)
    return stored._replace(exit=(*texts[:4], since))


def _with_grant(stored: GovernedSymbol, granted: Granted) -> GovernedSymbol:
    return stored._replace(
        window=(*stored.window, granted.granted_ms) if granted.counts else stored.window,
        opened=stored.opened if granted.opened is None else granted.opened.encode(),
        reduced=stored.reduced if granted.reduced is None else granted.reduced.encode(),
        last_exec=stored.last_exec if granted.last_exec_sec is None else granted.last_exec_sec.encode(),
    )


def _disarm(judgement: Judgement | None, governed: GovernedPlan) -> Disarm | None:
    if judgement is None or not judgement.disarms:
        return None
    numbers = {
        name: plain(value) if isinstance(value, Decimal) else value
        for name, value in judgement.disarm_details.items()
    }
    context = {"plan_id": governed.plan_id, "symbol": governed.symbol, **numbers}
    return Disarm(judgement.disarms, _JSON.encode(context).decode())


def _dead(governed: GovernedPlan) -> tuple[str, ...]:
    if not governed.failed:
        return ()
    return dead_letter(governed.fields, entry_id=governed.entry.id, error="evaluation_failed")


def _text(texts: tuple[bytes | None, ...], place: int) -> bytes | None:
    return texts[place] if len(texts) > place else None
