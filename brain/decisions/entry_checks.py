"""Checks before a plan's kind is known: on the entry of `apply.plan`, the symbol and the snapshot.

Each returns the reason for a deny, or None, and the numbers it compared. `checks.py` has their order.
"""

from __future__ import annotations

from brain.decisions.facts import Facts
from brain.plans.expiry import expiry
from brain.plans.kinds import closes_by_name, contradiction, reducing_side
from brain.plans.permit import Details, Reason
from brain.positions.position import Leg

Judgement = tuple[Reason | None, Details]


#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_BOTH = Leg.BOTH


def well_formed(facts: Facts) -> Judgement:
    """Deny a plan that contradicts itself at any position.

    `eval_type` ENTRY contradicts a plan that can only close. EXIT is compared when the kind is known.
    """
    plan = facts.plan
    row = contradiction(plan)
    if row is not None:
        return Reason.MALFORMED_PLAN, {row.field: row.problem}
    if plan.eval_type == "ENTRY" and closes_by_name(plan):
        return Reason.MALFORMED_PLAN, {"eval_type": "ENTRY, of a plan that can only close"}
    return None, {}


def not_expired(facts: Facts) -> Judgement:
    """Deny a plan that is too old, or an old one that was published again."""
    case, rules = facts.case, facts.case.rules
    expired, compared = expiry(
        facts.plan, entry_ms=case.entry_ms, now_ms=case.now_ms,
        max_age_sec=rules.plan_max_age_sec, timestamp_limit_sec=rules.decision_ttl_sec,
    )  # fmt: skip
    return (Reason.PLAN_EXPIRED if expired else None), compared


def not_settled(facts: Facts) -> Judgement:
    """Deny a plan for which a result came before its decision."""
    settled = facts.case.settled
    return (Reason.PLAN_ALREADY_SETTLED if settled else None), {"settled": settled}


def survived(facts: Facts) -> Judgement:
    """Deny an entry from before Redis changed: a decision on it may have been acknowledged and lost."""
    case = facts.case
    before = case.entry_ms is None or case.entry_ms <= case.redis_changed_ms
    lost = case.redis_changed_ms > 0 and before
    return (Reason.RECOVERING if lost else None), {"came_before_redis_changed": lost}


def allowlist(facts: Facts) -> Judgement:
    """Deny a symbol outside the allowlist, unless the plan may close an existing position.

    A stale snapshot counts, too, as long as it shows a position. With a stale flat one, or none, a plan that
    can only close goes on to the checks of the snapshot, which lead to a fresh read.
    """
    case, plan = facts.case, facts.plan
    if case.in_allowlist:
        return None, {"in_allowlist": True}
    passes = closes_by_name(plan)
    if facts.holds_a_position:
        passes = passes or _against_position(facts)
    else:
        passes = passes and not _is_fresh(facts) and _trades(facts)
    compared: Details = {"in_allowlist": False, "may_close": passes}
    return (None if passes else Reason.SYMBOL_NOT_IN_ALLOWLIST), compared


def on_exchange(facts: Facts) -> Judgement:
    """Deny a symbol that the exchange does not trade, unless there is a position to close."""
    if not facts.case.exchange_known:
        return None, {"exchange_known": False}
    trades = _trades(facts)
    known = trades or facts.holds_a_position
    return (None if known else Reason.SYMBOL_NOT_ON_EXCHANGE), {"trading": trades}


def hold(facts: Facts) -> Judgement:
    """Deny a symbol that the reconcile engine holds."""
    held = facts.case.hold
    if not held:
        return None, {"hold": held}
    key = f"{facts.case.key_prefix}:reconcile:hold:{facts.plan.symbol}"
    return Reason.RECONCILE_HOLD_ACTIVE, {"hold": held, "key": key}


def snapshot_present(facts: Facts) -> Judgement:
    """Deny without a snapshot, or before the exchange's symbols have been read."""
    missing = facts.case.snapshot is None
    if not facts.case.exchange_known:
        return Reason.NO_EXCHANGE_SNAPSHOT, {"snapshot": not missing, "exchange_known": False}
    return (Reason.NO_EXCHANGE_SNAPSHOT if missing else None), {"snapshot": not missing}


def fresh(facts: Facts) -> Judgement:
    """Deny on a snapshot that is not trusted, older than the threshold, or from before a reported fill."""
    snapshot = facts.case.snapshot
    age_sec = None if snapshot is None else snapshot.age_sec
    compared: Details = {"snapshot_age_sec": age_sec, "threshold_sec": facts.case.rules.stale_threshold_sec}
    if snapshot is not None and not snapshot.trusted:
        compared["trust_lost"] = True
    if snapshot is not None and not snapshot.shows_results:
        compared["older_than_a_result"] = True
    return (None if _is_fresh(facts) else Reason.STALE_EXCHANGE_STATE), compared


def leg(facts: Facts) -> Judgement:
    """Deny, in hedge mode, a plan without its leg and a snapshot of one-way mode.

    A one-way position in hedge mode means that the mode was switched since the read. Binance allows that only
    without a position, so the snapshot is outdated.
    """
    if not facts.hedged:
        return None, {"leg": _BOTH}
    if facts.leg is None:
        return Reason.POSITION_SIDE_REQUIRED, {"hedge_mode": True, "position_side": None}
    snapshot = facts.case.snapshot
    if snapshot is not None:
        for row in snapshot.legs:
            if row.leg is _BOTH and row.amount != 0:
                return Reason.STALE_EXCHANGE_STATE, {"hedge_mode": True, "one_way_position_amt": row.amount}
    return None, {"leg": facts.leg}


def _trades(facts: Facts) -> bool:
    """Return True if the exchange trades the symbol, or its symbols have not been read yet."""
    rules = facts.case.symbol_rules
    return not facts.case.exchange_known or (rules is not None and rules.trading)


def _is_fresh(facts: Facts) -> bool:
    snapshot = facts.case.snapshot
    # NaN is within no threshold.
    return (
        snapshot is not None
        and snapshot.trusted
        and snapshot.shows_results
        and snapshot.age_sec <= facts.case.rules.stale_threshold_sec
    )


def _against_position(facts: Facts) -> bool:
    """Return True if the plan's order side is against its leg's position (any leg, while unknown)."""
    plan = facts.plan
    if plan.eval_type == "ENTRY":
        return False
    return facts.leg is None or facts.amount is None or plan.side is reducing_side(facts.leg, facts.amount)
