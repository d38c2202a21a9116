"""Replay of recorded judgements, with the same or other settings, and its differences."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.governor.judgement import Judgement
from brain.governor.judging import judge
from brain.governor.record import (
    GovernorRecord,
    RecordedJudgement,
    UnreadableRecordError,
    case_of,
    read_record,
    recorded_judgement,
    same_outcome,
)

#: Fields of `GovernorRules` that shape no judgement: lives of what it leaves behind.
SHAPE_NO_JUDGEMENT = frozenset({"permit_ttl_sec", "execution_grace_sec"})
#: Fields of a judgement that executors and later judgements read.
_ANSWER = ("granted", "reason", "kind", "eval_type", "quantity", "notional", "qty_scale", "disarms")


class NotJudgedOnACaseError(ValueError):
    """A record whose outcome, `reason`, did not come from a case: there is nothing to judge again."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} was not judged on a case")
        self.reason = reason


class ReplayedJudgement(msgspec.Struct, frozen=True):
    """Judgement as recorded, and as judged now."""

    record: GovernorRecord
    recorded: RecordedJudgement
    judged: Judgement

    @property
    def identical(self) -> bool:
        """True if both are equal in every value: statistics, z and cut-off to the last bit."""
        return same_outcome(self.record, self.judged)

    @property
    def same_answer(self) -> bool:
        """True if both give the same answer, whatever numbers explain it."""
        return not any(name in _ANSWER for name, _, _ in self.differences())

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""
        recorded: dict[str, object] = msgspec.json.decode(self.record.judgement)
        judged: dict[str, object] = msgspec.json.decode(msgspec.json.encode(self.judged))
        names = [*judged, *(name for name in recorded if name not in judged)]
        return [
            (name, recorded.get(name), judged.get(name))
            for name in names
            if recorded.get(name) != judged.get(name)
        ]


def judge_again(text: bytes, changed_rules: Mapping[str, object] | None = None) -> ReplayedJudgement:
    """Judge the case of an audit record again; `changed_rules` replace values of its `GovernorRules`.

    Raises UnreadableRecordError for bytes that are no record, NotJudgedOnACaseError for one without a case.
    """
    record = read_record(text)
    recorded = recorded_judgement(record)
    try:
        case = case_of(record)
    except UnreadableRecordError:
        raise NotJudgedOnACaseError(recorded.reason) from None
    if changed_rules:
        rules = msgspec.structs.replace(case.rules, **changed_rules)
        case = msgspec.structs.replace(case, rules=rules)
    return ReplayedJudgement(record, recorded, judge(case))
