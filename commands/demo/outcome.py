"""Outcomes of plans at their executor, actual and expected."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.execution.reasons import NOTHING_TO_EXECUTE
from brain.governor.reasons import GovernorReason
from brain.plans.permit import Reason
from permit_gate import P33, Granted, Refusal, Refused, Terms

#: Denials that a late decision, booking or read of the exchange can cause.
_LATE_DENIALS = frozenset(
    {
        Reason.COOLDOWN_IN_FLIGHT,
        Reason.IN_FLIGHT_PERMIT,
        Reason.NO_EXCHANGE_SNAPSHOT,
        Reason.PLAN_EXPIRED,
        Reason.RECONCILE_REQUIRED_QTY_MISMATCH,
        Reason.RECONCILE_REQUIRED_SIDE_MISMATCH,
        Reason.RECOVERING,
        Reason.STALE_EXCHANGE_STATE,
        Reason.STATE_CONTENDED,
    }
)
#: Refusals of the gate that a late permit, or a late answer of Redis, can cause; and of the Governor, that a
#: late judgement or a late read of account or positions can.
_LATE_REFUSALS = (
    Refusal.PERMIT_TIMEOUT,
    Refusal.PERMIT_TOO_OLD,
    Refusal.REDIS_ERROR,
    "source_not_allowed",
    *(
        f"permit_denied (Governor: {reason})"
        for reason in (
            GovernorReason.PLAN_EXPIRED,
            GovernorReason.NO_PORTFOLIO_STATE,
            GovernorReason.RECOVERING,
            GovernorReason.STATE_CONTENDED,
            # An order is an entry to the bridge while it knows no fresh position.
            GovernorReason.EVAL_TYPE_MISMATCH,
        )
    ),
)
#: Refusals of the bridge that a late read of intents, positions or prices can cause.
_LATE_INTENTS = frozenset({"intent_expired", "no_price"})
_DENIED = f"{Refusal.PERMIT_DENIED} ({P33.name}: "


class Verdict(StrEnum):
    """Kind of outcome: no plan by the bridge, allowed or denied by P3.3, or refused by the executor."""

    NO_PLAN = "no plan"
    ALLOWED = "allowed"
    DENIED = "denied"
    REFUSED = "refused"


class Outcome(msgspec.Struct, frozen=True):
    """A verdict with the permit's reason, or with the executor's refusal in words.

    `quantity` is the safe quantity in contracts, None unless allowed.
    """

    verdict: Verdict
    reason: str
    quantity: Decimal | None = None

    def __str__(self) -> str:
        quantity = f" {self.quantity.normalize():f}" if self.quantity else ""
        return f"{self.verdict}{quantity} ({self.reason})"


def depends_on_time(expected: Outcome, actual: Outcome) -> bool:
    """Return whether lateness alone can make `actual` of what was `expected`.

    It makes an allow only where a cooldown has passed, and no answer to a plan that asks for none.
    """
    if actual.verdict is Verdict.NO_PLAN:
        return actual.reason in _LATE_INTENTS
    if actual.verdict is Verdict.REFUSED:
        return actual.reason.startswith(_LATE_REFUSALS)
    if expected == UNANSWERED:
        return False
    if actual.verdict is Verdict.ALLOWED:
        return expected == denied(Reason.COOLDOWN_IN_FLIGHT)
    if expected == _FLAT and actual in _FLAT_LATER:
        return True
    return actual.reason in _LATE_DENIALS or expected in _PASSING_DENIALS


def allowed(reason: str, quantity: Decimal) -> Outcome:
    return Outcome(Verdict.ALLOWED, reason, quantity)


def denied(reason: str) -> Outcome:
    return Outcome(Verdict.DENIED, reason)


def refused(answer: str) -> Outcome:
    return Outcome(Verdict.REFUSED, answer)


def no_plan(reason: str) -> Outcome:
    return Outcome(Verdict.NO_PLAN, reason)


def refused_by_governor(reason: GovernorReason) -> Outcome:
    return refused(f"permit_denied (Governor: {reason})")


#: Of a plan that asks for nothing and gets no permit.
UNANSWERED = refused("permit_timeout (missing: P3.3)")
#: Of a close of nothing; the bridge leaves it to P3.3 while it knows no fresh position.
_FLAT = no_plan("flat_close")
_FLAT_LATER = (denied(Reason.NO_POSITION), denied(Reason.SYMBOL_NOT_IN_ALLOWLIST))
#: Denials that another one follows when the plan is decided later.
_PASSING_DENIALS = (denied(Reason.COOLDOWN_IN_FLIGHT), denied(Reason.IN_FLIGHT_PERMIT))


def outcome_of(answer: Granted | Refused) -> Outcome:
    """Convert a gate's answer into the plan's outcome."""
    if isinstance(answer, Granted):
        if answer.terms is None:
            raise ValueError("granted without P33")
        return allowed(answer.terms.reason, answer.terms.safe_quantity)
    if answer.reason is Refusal.PERMIT_DENIED and answer.denied_by == P33.name:
        return denied(answer.because)
    return refused(str(answer))


def outcome_of_result(result: Mapping[str, str], terms: Terms | None) -> Outcome:
    """Convert a result of the daemon's executor, and the terms that it consumed, into the plan's outcome."""
    error = result["error"]
    if error.startswith(_DENIED):
        return denied(error.removeprefix(_DENIED).removesuffix(")"))
    if terms is None or error not in ("", NOTHING_TO_EXECUTE):
        return refused(error)
    return allowed(terms.reason, terms.safe_quantity)
