"""Audit record of an answer to an intent: its complete input and outcome, as text and back."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.identifiers import EntryId, PlanId
from brain.intents.answer import Answer
from brain.intents.case import BridgeRules, IntentCase
from brain.intents.deciding import decide
from brain.intents.intent import Lane
from brain.intents.reasons import IntentReason
from brain.json_text import read_json
from brain.numbers import plain

_JSON = msgspec.json.Encoder()
#: Refusals that do not follow from a case.
_NOT_FROM_THE_CASE = frozenset(
    {IntentReason.DUPLICATE_INTENT, IntentReason.STATE_CONTENDED, IntentReason.EVALUATION_FAILED}
)


class UnreadableRecordError(ValueError):
    """Bytes are no audit record of the bridge."""


class NotAnsweredOnACaseError(UnreadableRecordError):
    """The answer of a record did not come from a case; `reason` is the refusal."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} was not answered on a case")
        self.reason = reason


class IntentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Audit record. A new field here, or in a struct inside it, needs a default: older records lack it.

    `case` is None where the intent could not be read, or answering failed. `fields`: the intent as published
    (escaped and truncated, see `brain/text_fields.py`). `answer` is the exact text of the outcome.
    """

    entry_id: EntryId
    lane: Lane
    issued_by: str
    decided_ms: int
    case: IntentCase | None
    answer: msgspec.Raw
    fields: Mapping[str, str] = {}
    v: int = 1


class RecordedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer read from a record: like `Answer`, but decimals in its details stay text."""

    plan_id: PlanId
    reason: str = ""
    eval_type: str = ""
    plan: dict[str, str] = {}
    details: dict[str, float | int | str | bool | None] = {}


class ReplayedAnswer(msgspec.Struct, frozen=True):
    """Answer as recorded, and as the rules give it now."""

    record: IntentRecord
    recorded: RecordedAnswer
    answer: Answer

    @property
    def same_answer(self) -> bool:
        """True if both make the same plan, or none for the same reason."""
        recorded, answer = self.recorded, self.answer
        return (recorded.plan, recorded.reason) == (answer.plan, answer.reason)

    @property
    def identical(self) -> bool:
        """True if both are equal in every value."""
        recorded: object = msgspec.json.decode(self.record.answer)
        present: object = msgspec.json.decode(_JSON.encode(self.answer))
        return recorded == present

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""
        recorded: dict[str, object] = msgspec.json.decode(self.record.answer)
        present: dict[str, object] = msgspec.json.decode(_JSON.encode(self.answer))
        names = [*present, *(name for name in recorded if name not in present)]
        return [
            (name, recorded.get(name), present.get(name))
            for name in names
            if recorded.get(name) != present.get(name)
        ]


_RECORDS = msgspec.json.Decoder(IntentRecord)
_ANSWERS = msgspec.json.Decoder(RecordedAnswer)


def audit_fields(
    answer: Answer,
    case: IntentCase | None,
    *,
    entry_id: EntryId,
    lane: Lane,
    symbol: str,
    decided_ms: int,
    issued_by: str,
    fields: Mapping[str, str],
    rules: msgspec.Raw,
    shadow: bool,
) -> tuple[str, ...]:
    """Return the names and values of one entry of `intent.audit`; what is not known is empty.

    `rules`: those of the case as JSON, which are the same for all.
    """
    plan = answer.plan
    mark = None if case is None else case.mark_price
    position = None if case is None else case.position
    record = IntentRecord(
        entry_id=entry_id,
        lane=lane,
        issued_by=issued_by,
        decided_ms=decided_ms,
        case=None if case is None else msgspec.structs.replace(case, rules=rules),
        answer=msgspec.Raw(_JSON.encode(answer)),
        fields=fields,
    )
    return (
        "entry_id", entry_id,
        "stream", lane,
        "symbol", symbol,
        "outcome", "plan" if plan else "refused",
        "reason", answer.reason,
        "plan_id", answer.plan_id,
        "side", plan.get("side", ""),
        "action", plan.get("action", ""),
        "qty", plan.get("qty", ""),
        "eval_type", answer.eval_type,
        "mark_price", "" if mark is None else plain(mark),
        "position_amt", "" if position is None else plain(position),
        "decided_ms", str(decided_ms),
        "issued_by", issued_by,
        *(("mode", "shadow") if shadow else ()),
        "record", _JSON.encode(record).decode(),
    )  # fmt: skip


def recorded_rules(rules: BridgeRules) -> msgspec.Raw:
    """Return rules as records have them."""
    return msgspec.Raw(_JSON.encode(rules))


def read_record(text: bytes | str) -> IntentRecord:
    """Parse the `record` of an audit entry. Raises UnreadableRecordError."""
    try:
        return read_json(_RECORDS, text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableRecordError(f"not an audit record of the bridge: {error}") from None


def recorded_answer(record: IntentRecord) -> RecordedAnswer:
    """Parse the answer of a record. Raises UnreadableRecordError."""
    try:
        return read_json(_ANSWERS, record.answer)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableRecordError(f"not an answer to an intent: {error}") from None


def answer_again(text: bytes | str, changed_rules: Mapping[str, object] | None = None) -> ReplayedAnswer:
    """Answer the case of a record again; `changed_rules` replace values of its `BridgeRules`.

    Raises UnreadableRecordError for bytes that are no record, NotAnsweredOnACaseError for one without a case.
    """
    record = read_record(text)
    recorded, case = recorded_answer(record), record.case
    if case is None or recorded.reason in _NOT_FROM_THE_CASE:
        raise NotAnsweredOnACaseError(recorded.reason)
    if changed_rules:
        rules = msgspec.structs.replace(case.rules, **changed_rules)
        case = msgspec.structs.replace(case, rules=rules)
    return ReplayedAnswer(record, recorded, decide(case))
