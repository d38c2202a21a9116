"""Replay of recorded cases, with the same or other settings, and its differences."""

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

#: Fields of `Rules` that a check compares with; the others shape the permit.
COMPARED_RULES = (
    "stale_threshold_sec",
    "cooldown_sec",
    "qty_tolerance_pct",
    "plan_max_age_sec",
    "decision_ttl_sec",
    "permit_ttl_sec",
)
#: Fields of a decision that consumers and later decisions read.
_ANSWER = ("allow", "reason", "kind", "leg", "order_side", "quantity", "reserve")


class Replayed(msgspec.Struct, frozen=True):
    """Decision as recorded, and as decided now."""

    audit: AuditRecord
    recorded: RecordedDecision
    decided: Decision

    @property
    def identical(self) -> bool:
        """True if both are equal in every value."""
        return same_outcome(self.audit, self.decided)

    @property
    def same_answer(self) -> bool:
        """True if both give the same answer, whatever numbers explain it."""
        return all(getattr(self.recorded, name) == getattr(self.decided, name) for name in _ANSWER)

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""
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

    Raises NotReplayableError for bytes that are no record, or a decision without a case.
    """
    audit = read_audit(record)
    recorded = recorded_decision(audit)
    case = case_of(audit, recorded.reason)
    if changed_rules:
        rules = msgspec.structs.replace(case.rules, **changed_rules)
        case = msgspec.structs.replace(case, rules=rules)
    return Replayed(audit, recorded, decide(case))
