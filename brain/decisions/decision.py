"""Decision function: one case in, one decision out. Pure: the same case always gives the same decision."""

from __future__ import annotations

from decimal import Decimal, localcontext

from brain.decisions.case import Case
from brain.decisions.checks import CHECKS, all_plans
from brain.decisions.facts import Facts
from brain.numbers import EXACT, ZERO
from brain.plans.check_results import CheckResult, Outcome
from brain.plans.permit import Decision, Details, Kind, Reason
from brain.plans.plan import MalformedPlan
from brain.positions.position import Leg, side_of

#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_CLOSE, _NONE = Kind.CLOSE, Kind.NONE
_BOTH = Leg.BOTH
#: The table in a faster form: None for a check that concerns all plans.
_WALK = tuple((None if check.concerns is all_plans else check.concerns, check.judge) for check in CHECKS)


def decide(case: Case) -> Decision:
    """Decide on a plan: the first check that denies decides; if none does, it is allowed.

    Raises nothing for a case from this package's parsers. An exception (a bug) crashes the actor; after three
    the plan is denied as `evaluation_failed` (`FailureCounter` in `actors/stream_consumer.py`).
    """
    return decide_on(Facts(case))


def decide_on(facts: Facts) -> Decision:
    """Decide like `decide`, on new `facts` that the caller reads afterwards."""
    with localcontext(EXACT):
        for concerns, judge in _WALK:
            if concerns is None or concerns(facts):
                reason, compared = judge(facts)
                if reason is not None:
                    return _decision(facts, False, reason, ZERO, ZERO, compared)
        return _allowed(facts)


def trail(case: Case) -> list[CheckResult]:
    """Return the result of every check, by the same walk as `decide`."""
    results = []
    denied = False
    with localcontext(EXACT):
        facts = Facts(case)
        for check in CHECKS:
            if denied:
                results.append(CheckResult(check.name, Outcome.NOT_REACHED, {}))
            elif not check.concerns(facts):
                results.append(CheckResult(check.name, Outcome.SKIPPED, {}))
            else:
                reason, compared = check.judge(facts)
                denied = reason is not None
                outcome = Outcome.DENIED if denied else Outcome.PASSED
                results.append(CheckResult(check.name, outcome, compared, reason))
    return results


def deny_malformed(malformed: MalformedPlan) -> Decision:
    """Deny a plan that cannot be read; `details` names each bad field."""
    return _deny(Reason.MALFORMED_PLAN, dict(malformed.problems))


def evaluation_failed(attempts: int) -> Decision:
    """Deny a plan whose decision failed `attempts` times."""
    return _deny(Reason.EVALUATION_FAILED, {"attempts": attempts})


def state_contended(attempts: int) -> Decision:
    """Deny a plan whose state changed between decision and commit `attempts` times."""
    return _deny(Reason.STATE_CONTENDED, {"attempts": attempts})


def _allowed(facts: Facts) -> Decision:
    kind = facts.kind or _NONE
    reserve = ZERO
    if kind is _NONE:
        reason = Reason.NO_QUANTITY_CHANGE
    elif kind is _CLOSE:
        reason = Reason.RECONCILE_CLOSE_BYPASS if facts.reconcile_close else Reason.SANITY_CHECKS_PASSED
        reserve = facts.quantity
    else:
        reason = Reason.OPEN_PERMIT_GRANTED
        reserve = facts.plan.quantity or ZERO
    return _decision(facts, True, reason, facts.quantity, reserve, {})


def _decision(
    facts: Facts, allow: bool, reason: Reason, quantity: Decimal, reserve: Decimal, details: Details
) -> Decision:
    return Decision(
        allow=allow,
        reason=reason,
        kind=facts.kind or _NONE,
        leg=facts.leg or _BOTH,
        order_side=facts.order_side,
        quantity=quantity,
        reserve=reserve,
        position_side=None if facts.amount is None else side_of(facts.amount),
        details=details,
        warnings=facts.warnings,
    )


def _deny(reason: Reason, details: Details) -> Decision:
    """Return a deny without a case."""
    return Decision(False, reason, _NONE, _BOTH, None, ZERO, ZERO, None, details)
