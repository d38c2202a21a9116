"""Outcomes of plans at the permit gate, actual and expected."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from permit_gate import P33, Granted, Refusal, Refused


class Verdict(StrEnum):
    """Kind of outcome: allowed or denied by the daemon, or refused by the gate."""

    ALLOWED = "allowed"
    DENIED = "denied"
    REFUSED = "refused"


class Outcome(msgspec.Struct, frozen=True):
    """A verdict with the permit's reason, or with the gate's refusal in words.

    `quantity` is the safe quantity in contracts, None unless allowed.
    """

    verdict: Verdict
    reason: str
    quantity: Decimal | None = None

    def __str__(self) -> str:
        quantity = f" {self.quantity.normalize():f}" if self.quantity else ""
        return f"{self.verdict}{quantity} ({self.reason})"


def allowed(reason: str, quantity: Decimal) -> Outcome:
    return Outcome(Verdict.ALLOWED, reason, quantity)


def denied(reason: str) -> Outcome:
    return Outcome(Verdict.DENIED, reason)


def refused(answer: str) -> Outcome:
    return Outcome(Verdict.REFUSED, answer)


def outcome_of(answer: Granted | Refused) -> Outcome:
    """Convert a gate's answer into the plan's outcome."""
    if isinstance(answer, Granted):
        if answer.terms is None:
            raise ValueError("granted without P33")
        return allowed(answer.terms.reason, answer.terms.safe_quantity)
    if answer.reason is Refusal.PERMIT_DENIED and answer.denied_by == P33.name:
        return denied(answer.because)
    return refused(str(answer))
