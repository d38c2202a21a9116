"""Judging: one case in, one judgement out. Pure: the same case always gives the same judgement."""

from __future__ import annotations

from decimal import getcontext, localcontext, setcontext

from brain.governor.case import GovernorCase
from brain.governor.checks import CHECKS
from brain.governor.disarming import disarms
from brain.governor.facts import Facts
from brain.governor.judgement import Judgement
from brain.governor.kill_score import KillStats, qty_scale
from brain.governor.reasons import GovernorReason
from brain.numbers import EXACT, ZERO
from brain.plans.check_results import CheckResult, Outcome
from brain.plans.permit import Details, Kind
from brain.plans.plan import MalformedPlan

R = GovernorReason
#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_GRANTED, _GRANTED_SCALED, _GRANTED_CLOSE = R.GRANTED, R.GRANTED_SCALED, R.GRANTED_CLOSE
#: The table by kind.
_WALKS = {kind: tuple(check.judge for check in CHECKS if kind in check.kinds) for kind in Kind}

#: Kinds of plans without a case, by their evaluation type.
_KINDS = {"entry": Kind.OPEN, "exit": Kind.CLOSE}


def judge(case: GovernorCase) -> Judgement:
    """Judge a plan: the first check that refuses answers; if none does, it is granted."""
    before = getcontext()
    # As `localcontext` does, which copies the context each time.
    setcontext(EXACT)
    try:
        facts = Facts(case)
        for check in _WALKS[case.kind]:
            reason, compared = check(facts)
            if reason is not None:
                return _judgement(facts, reason, compared)
        return _judgement(facts, None, {})
    finally:
        setcontext(before)


def trail(case: GovernorCase) -> list[CheckResult]:
    """Return the result of every check, by the same walk as `judge`."""
    results = []
    refused = False
    with localcontext(EXACT):
        facts = Facts(case)
        for check in CHECKS:
            if refused:
                results.append(CheckResult(check.name, Outcome.NOT_REACHED, {}))
            elif case.kind not in check.kinds:
                results.append(CheckResult(check.name, Outcome.SKIPPED, {}))
            else:
                reason, compared = check.judge(facts)
                refused = reason is not None
                outcome = Outcome.DENIED if refused else Outcome.PASSED
                results.append(CheckResult(check.name, outcome, compared, reason))
    return results


def refuse_malformed(malformed: MalformedPlan, observed_as: str, stats: KillStats | None) -> Judgement:
    """Refuse a plan that cannot be read; `details` names each bad field.

    `observed_as` is its evaluation type, `entry` or `exit`; `stats` those with its observation, if any.
    """
    return _without_case(R.MALFORMED_PLAN, _KINDS[observed_as], dict(malformed.problems), stats)


def evaluation_failed(attempts: int, observed_as: str, stats: KillStats | None) -> Judgement:
    """Refuse a plan whose judgement failed `attempts` times. For the others see `refuse_malformed`."""
    return _without_case(R.EVALUATION_FAILED, _KINDS[observed_as], {"attempts": attempts}, stats)


def state_contended(judgement: Judgement, attempts: int, stats: KillStats | None) -> Judgement:
    """Refuse a plan whose state changed `attempts` times before the write."""
    return _without_case(R.STATE_CONTENDED, judgement.kind, {"attempts": attempts}, stats)


def _judgement(facts: Facts, refusal: GovernorReason | None, details: Details) -> Judgement:
    case = facts.case
    scale, reason = 1.0, refusal
    if reason is None and facts.entry:
        if case.kill_score is not None:
            scale = qty_scale(facts.rules, case.kill_score)
        reason = _GRANTED_SCALED if scale < 1.0 else _GRANTED
    disarm, disarm_details = disarms(facts, refusal, details)
    return Judgement(
        granted=refusal is None,
        reason=reason or _GRANTED_CLOSE,
        kind=case.kind,
        eval_type="ENTRY" if facts.entry else "EXIT",
        details=details,
        quantity=case.quantity,
        notional=facts.notional,
        stats=facts.stats,
        z=facts.z,
        cutoff=facts.cutoff,
        qty_scale=scale,
        exit_blocked_since_ms=facts.exit_blocked_since_ms,
        exit_block_expired=facts.exit_block_expired,
        disarms=disarm,
        disarm_details=disarm_details,
        warnings=facts.warnings,
    )


def _without_case(reason: GovernorReason, kind: Kind, details: Details, stats: KillStats | None) -> Judgement:
    return Judgement(
        granted=False,
        reason=reason,
        kind=kind,
        eval_type="ENTRY" if kind in (Kind.OPEN, Kind.ADD) else "EXIT",
        details=details,
        quantity=ZERO,
        notional=None,
        stats=stats,
        z=None,
        cutoff=None,
        qty_scale=1.0,
    )
