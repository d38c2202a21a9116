"""Checks of the plan itself, of the switches and of the state of the account (rules 1 to 10).

Each returns the reason for a refusal, or None, and the numbers it compared. `checks.py` has their order.
"""

from __future__ import annotations

from decimal import Decimal

from brain.execution.switches import TradingState
from brain.governor.disarming import lost_too_much, repeated_errors
from brain.governor.facts import Facts
from brain.governor.reasons import GUARDS, DisarmReason, GovernorReason
from brain.numbers import ZERO
from brain.plans.expiry import expiry
from brain.plans.kinds import contradiction
from brain.plans.permit import Details

Verdict = tuple[GovernorReason | None, Details]

R = GovernorReason
_ACTIVE, _REDUCING, _HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
_GUARDED = {name: GovernorReason(f"risk_guard_{name.lower()}") for name in GUARDS}
_OWN_GUARDS = {"DAILY_LOSS": DisarmReason.DAILY_LOSS, "DRAWDOWN": DisarmReason.DRAWDOWN}


def well_formed(facts: Facts) -> Verdict:
    """Refuse a plan that contradicts itself at any position, and an entry with an unreadable kill score."""
    row = contradiction(facts.plan)
    if row is not None:
        return R.MALFORMED_PLAN, {row.field: row.problem}
    if facts.entry and facts.case.kill_score_problem:
        return R.MALFORMED_PLAN, {"kill_score": facts.case.kill_score_problem}
    return None, {}


def not_expired(facts: Facts) -> Verdict:
    """Refuse a plan that is too old, by its entry or by its own timestamp, as P3.3 does."""
    case, rules = facts.case, facts.rules
    expired, compared = expiry(
        facts.plan, entry_ms=case.entry_ms, now_ms=case.now_ms,
        max_age_sec=rules.plan_max_age_sec, timestamp_limit_sec=rules.decision_ttl_sec,
    )  # fmt: skip
    return (R.PLAN_EXPIRED if expired else None), compared


def eval_type(facts: Facts) -> Verdict:
    """Refuse `ENTRY` of a plan that opens nothing, and `EXIT` of one that is known to open or add."""
    given, case = facts.plan.eval_type, facts.case
    compared: Details = {"eval_type": given or None, "kind": case.kind, "kind_known": case.kind_known}
    wrong = given == "EXIT" and case.kind_known if facts.entry else given == "ENTRY"
    return (R.EVAL_TYPE_MISMATCH if wrong else None), compared


def not_halted(facts: Facts) -> Verdict:
    """Refuse every plan while trading is halted."""
    state = facts.case.trading_state
    return (R.TRADING_HALTED if state is _HALTED else None), {"trading_state": state}


def switches(facts: Facts) -> Verdict:
    """Refuse while a kill switch is on, or trading reduces positions only, if from this judgement on."""
    case = facts.case
    compared: Details = {"trading_state": case.trading_state, "kill_switch": case.kill_switch}
    disarms = repeated_errors(facts)
    if disarms is not None:
        return R.KILL_SWITCH_ACTIVE, compared | disarms
    stopped = case.kill_switch or case.trading_state is _REDUCING
    return (R.KILL_SWITCH_ACTIVE if stopped else None), compared


def not_recovering(facts: Facts) -> Verdict:
    """Refuse while acknowledged writes may be lost from Redis, as P3.3 does."""
    case, limit_sec = facts.case, facts.rules.p33_permit_ttl_sec
    since_change_sec, since_eviction_sec = (
        (case.now_ms - at_ms) / 1000 if at_ms else None for at_ms in (case.redis_changed_ms, case.evicted_ms)
    )
    compared: Details = {"seconds_since_redis_changed": since_change_sec, "limit_sec": limit_sec}
    if since_eviction_sec is not None:
        compared["seconds_since_redis_evicted"] = since_eviction_sec
    came_before = case.redis_changed_ms > 0 and (
        case.entry_ms is None or case.entry_ms <= case.redis_changed_ms
    )
    compared["came_before_redis_changed"] = came_before
    recovering = came_before or any(
        since_sec is not None and since_sec < limit_sec
        for since_sec in (since_change_sec, since_eviction_sec)
    )
    return (R.RECOVERING if recovering else None), compared


def portfolio_known(facts: Facts) -> Verdict:
    """Refuse while positions, the plan's mark price, or an equity above zero are not known."""
    case = facts.case
    age_sec = None if case.equity is None else case.equity.age_sec
    compared: Details = {
        "positions_known": case.book_trusted and case.exposure is not None,
        "mark_price": case.mark_price,
        "equity": None if case.equity is None else case.equity.equity,
        "equity_age_sec": age_sec,
        "equity_max_age_sec": facts.rules.equity_max_age_sec,
    }
    if case.unreadable:
        compared["unreadable"] = "; ".join(case.unreadable)
    known = (
        case.book_trusted
        and case.exposure is not None
        and case.mark_price is not None
        and case.mark_price > ZERO
        and facts.equity is not None
        and facts.equity.equity > ZERO
    )
    return (None if known else R.NO_PORTFOLIO_STATE), compared


def not_churning(facts: Facts) -> Verdict:
    """Refuse while another service has frozen all opens, or those of the symbol."""
    seen = facts.case.neighbours
    compared: Details = {"global_freeze": seen.frozen, "blacklisted": seen.blacklisted}
    if seen.frozen:
        return R.CHURN_GLOBAL_FREEZE, compared
    return (R.CHURN_BLACKLIST if seen.blacklisted else None), compared


def no_risk_guard(facts: Facts) -> Verdict:
    """Refuse while a risk guard is active: another service's, or our own (day's loss, drawdown)."""
    all_compared: Details = {}
    for name in GUARDS:
        if name in facts.case.neighbours.guards:
            return _GUARDED[name], {f"guard_active_{name.lower()}": True}
        own = _OWN_GUARDS.get(name)
        if own is not None:
            lost, compared = lost_too_much(facts, own)
            if lost:
                return _GUARDED[name], compared
            all_compared |= compared
    return None, all_compared


def cooled_down(facts: Facts) -> Verdict:
    """Refuse so soon after the symbol's last execution."""
    last_sec = facts.case.counts.last_exec_sec
    limit_sec = facts.rules.symbol_cooldown_sec + facts.hint.extra_cooldown_sec
    if last_sec is None or not limit_sec:
        return None, {"seconds_since_exec": None, "cooldown_sec": limit_sec}
    since_sec = Decimal(facts.case.now_ms).scaleb(-3) - last_sec
    compared: Details = {"seconds_since_exec": since_sec, "cooldown_sec": limit_sec}
    return (R.SYMBOL_COOLDOWN if since_sec < limit_sec else None), compared
