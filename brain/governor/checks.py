"""Checks of a judgement in the order of docs/contract.md: the first that refuses answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from brain.governor import limit_checks, plan_checks, score_checks
from brain.governor.facts import Facts
from brain.governor.plan_checks import Verdict
from brain.plans.permit import Kind


class Check(NamedTuple):
    """Check: its name, a predicate for the plans that it concerns, and its judgement."""

    name: str
    concerns: Callable[[Facts], bool]
    judge: Callable[[Facts], Verdict]


_OPEN = Kind.OPEN


def all_plans(facts: Facts) -> bool:  # noqa: ARG001 - one signature for the column
    """Return True: the check concerns all plans."""
    return True


def _entries(facts: Facts) -> bool:
    return facts.entry


def _opens(facts: Facts) -> bool:
    return facts.case.kind is _OPEN


def _exits(facts: Facts) -> bool:
    return not facts.entry


CHECKS: tuple[Check, ...] = (
    Check("well-formed", all_plans, plan_checks.well_formed),
    Check("not expired", all_plans, plan_checks.not_expired),
    Check("evaluation type", all_plans, plan_checks.eval_type),
    Check("not halted", all_plans, plan_checks.not_halted),
    Check("switches", _entries, plan_checks.switches),
    Check("recovering", _entries, plan_checks.not_recovering),
    Check("portfolio state", _entries, plan_checks.portfolio_known),
    Check("churn", _entries, plan_checks.not_churning),
    Check("risk guards", _entries, plan_checks.no_risk_guard),
    Check("cooldown", _entries, plan_checks.cooled_down),
    Check("hourly limit", _entries, limit_checks.hourly),
    Check("burst limit", _entries, limit_checks.burst),
    Check("positions", _opens, limit_checks.positions),
    Check("notional of the trade", _entries, limit_checks.per_trade),
    Check("total notional", _entries, limit_checks.total),
    Check("leverage", _entries, limit_checks.leverage),
    Check("budget", _entries, limit_checks.budget),
    Check("critical kill score", _entries, score_checks.critical),
    Check("kill score given", _entries, score_checks.given),
    Check("kill score warm", _entries, score_checks.warm),
    Check("kill score", _entries, score_checks.entry),
    Check("kill score of an exit", _exits, score_checks.leave),
    Check("daily limit", _entries, limit_checks.daily),
)
