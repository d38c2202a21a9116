"""A decision together with the plan that it answers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.decisions.case import Case
from brain.plans.permit import Decision


class Answer(msgspec.Struct, frozen=True):
    """A decision, whose plan it is about, and what it was based on (None: on the plan's text alone).

    `fields` is the plan as published.
    """

    entry_id: str
    plan_id: str
    symbol: str | None
    decision: Decision
    case: Case | None
    fields: Mapping[bytes, bytes]
