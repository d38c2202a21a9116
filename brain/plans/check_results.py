"""Results of checks, for explanations."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from brain.plans.permit import Details


class Outcome(StrEnum):
    """Outcome of one check. SKIPPED: it does not concern the plan; NOT_REACHED: an earlier one denied."""

    PASSED = "passed"
    DENIED = "denied"
    SKIPPED = "skipped"
    NOT_REACHED = "not reached"


class CheckResult(msgspec.Struct, frozen=True):
    """Result of one check, with the numbers it compared; `reason` when it denied."""

    name: str
    outcome: Outcome
    compared: Details
    reason: str | None = None
