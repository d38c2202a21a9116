"""Decision with the plan that it answers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.decisions.case import Case
from brain.identifiers import EntryId, PlanId, Symbol
from brain.plans.permit import Decision


class Answer(msgspec.Struct, frozen=True):
    """Decision with its plan and its case (None: decided on the plan's text alone).

    `fields` is the plan as published.
    """

    entry_id: EntryId
    plan_id: PlanId
    symbol: Symbol | None
    decision: Decision
    case: Case | None
    fields: Mapping[bytes, bytes]
