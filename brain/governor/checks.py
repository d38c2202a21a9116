"""Checks of a judgement in the order of docs/contract.md: the first that refuses answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from brain.governor import limit_checks, plan_checks, score_checks
from brain.governor.facts import Facts
from brain.governor.plan_checks import Verdict
from brain.plans.permit import Kind


class Check(NamedTuple):
    """Check: its name, the kinds of the plans that it concerns, and its judgement."""

    name: str
    kinds: frozenset[Kind]
    judge: Callable[[Facts], Verdict]


_ALL = frozenset(Kind)
_OPENS = frozenset({Kind.OPEN})
_ENTRIES = frozenset({Kind.OPEN, Kind.ADD})
_EXITS = _ALL - _ENTRIES

CHECKS: tuple[Check, ...] = (
    Check("well-formed", _ALL, plan_checks.well_formed),
    Check("not expired", _ALL, plan_checks.not_expired),
    Check("evaluation type", _ALL, plan_checks.eval_type),
    Check("not halted", _ALL, plan_checks.not_halted),
    Check("switches", _ENTRIES, plan_checks.switches),
    Check("recovering", _ENTRIES, plan_checks.not_recovering),
    Check("portfolio state", _ENTRIES, plan_checks.portfolio_known),
    Check("churn", _ENTRIES, plan_checks.not_churning),
    Check("risk guards", _ENTRIES, plan_checks.no_risk_guard),
    Check("cooldown", _ENTRIES, plan_checks.cooled_down),
    Check("hourly limit", _ENTRIES, limit_checks.hourly),
    Check("burst limit", _ENTRIES, limit_checks.burst),
    Check("positions", _OPENS, limit_checks.positions),
    Check("notional of the trade", _ENTRIES, limit_checks.per_trade),
    Check("total notional", _ENTRIES, limit_checks.total),
    Check("leverage", _ENTRIES, limit_checks.leverage),
    Check("budget", _ENTRIES, limit_checks.budget),
    Check("critical kill score", _ENTRIES, score_checks.critical),
    Check("kill score given", _ENTRIES, score_checks.given),
    Check("kill score warm", _ENTRIES, score_checks.warm),
    Check("kill score", _ENTRIES, score_checks.entry),
    Check("kill score of an exit", _EXITS, score_checks.leave),
    Check("daily limit", _ENTRIES, limit_checks.daily),
)
