"""Plans that were read for one of two roles, until the other one reads them: each is parsed once."""

from __future__ import annotations

from collections.abc import Mapping

from brain.identifiers import EntryId
from brain.plans.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from brain.plans.plan_fields import read_plan

AnyPlan = Plan | SkippedPlan | MalformedPlan | UnanswerablePlan
#: Entries that one role may be ahead of the other; those before are parsed again.
_MOST = 1_024


class SharedPlans:
    """A cache for two readers of one stream, of which either may be ahead.

    A plan is taken from it only for an entry with the same id and the same fields.
    """

    def __init__(self) -> None:
        self._plans: dict[EntryId, tuple[Mapping[bytes, bytes], AnyPlan]] = {}

    def read(self, entry_id: EntryId, fields: Mapping[bytes, bytes]) -> AnyPlan:
        """Return the plan of an entry, as `read_plan` does."""
        known = self._plans.pop(entry_id, None)
        if known is not None and known[0] == fields:
            return known[1]
        plan = read_plan(fields)
        self._plans[entry_id] = fields, plan
        if len(self._plans) > _MOST:
            del self._plans[next(iter(self._plans))]
        return plan


def read_alone(_entry_id: EntryId, fields: Mapping[bytes, bytes]) -> AnyPlan:
    """Return the plan of an entry that no other role reads."""
    return read_plan(fields)
