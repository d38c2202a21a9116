"""Decides recorded cases again, with the same settings or with others, and tells what is different."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.decisions.decision import decide
from brain.decisions.permit_text import (
    AuditRecord,
    RecordedDecision,
    case_of,
    read_audit,
    recorded_decision,
    same_outcome,
)
from brain.plans.permit import Decision

#: The values of `Rules` that some check compares with; the others shape what a permit leaves behind.
COMPARED_RULES = (
    "stale_threshold_sec",
    "cooldown_sec",
    "qty_tolerance_pct",
    "plan_max_age_sec",
    "decision_ttl_sec",
    "permit_ttl_sec",
)
#: What consumers and later decisions see of a decision.
_ANSWER = ("allow", "reason", "kind", "leg", "order_side", "quantity", "reserve")


class Replayed(msgspec.Struct, frozen=True):
    """A decision as recorded, and as the function makes it now."""

    audit: AuditRecord
    recorded: RecordedDecision
    decided: Decision

    @property
    def identical(self) -> bool:
        """Whether both are the same in every value."""
        return same_outcome(self.audit, self.decided)

    @property
    def same_answer(self) -> bool:
        """Whether both give the same answer, whatever numbers explain it."""
        return all(getattr(self.recorded, name) == getattr(self.decided, name) for name in _ANSWER)

    def differences(self) -> list[tuple[str, object, object]]:
        """Name, recorded and present value of everything that differs, as JSON would hold it."""
        recorded: dict[str, object] = msgspec.json.decode(self.audit.decision)
        decided: dict[str, object] = msgspec.json.decode(msgspec.json.encode(self.decided))
        names = [*decided, *(name for name in recorded if name not in decided)]
        return [
            (name, recorded.get(name), decided.get(name))
            for name in names
            if recorded.get(name) != decided.get(name)
        ]


def decide_again(record: bytes, changed_rules: Mapping[str, object] | None = None) -> Replayed:
    """Decide the case of an audit record again; `changed_rules` replace values of its `Rules`.

    Raises NotReplayableError for what is no record, or was not decided on a case.
    """
    audit = read_audit(record)
    recorded = recorded_decision(audit)
    case = case_of(audit, recorded.reason)
    if changed_rules:
        rules = msgspec.structs.replace(case.rules, **changed_rules)
        case = msgspec.structs.replace(case, rules=rules)
    return Replayed(audit, recorded, decide(case))
