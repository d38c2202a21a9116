"""Answer to an intent: a plan, or a refusal."""

from __future__ import annotations

from typing import Final

import msgspec

from brain.identifiers import PlanId
from brain.plans.permit import Details

ENTRY: Final = "ENTRY"
EXIT: Final = "EXIT"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Plan with its fields, as `apply.plan` has them, or the reason of a refusal.

    `reason` is empty for a plan, `plan` for a refusal. `details` has what a refusal compared. `eval_type` is
    ENTRY or EXIT, empty where it did not come to that.
    """

    plan_id: PlanId
    reason: str = ""
    eval_type: str = ""
    plan: dict[str, str] = {}
    details: Details = {}

    @property
    def closes(self) -> bool:
        """Return True for a plan that reduces a position."""
        return bool(self.plan) and self.eval_type == EXIT
