"""Audit record of a judgement: its complete input and outcome, as text and back."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.governor.case import GovernorCase
from brain.governor.judgement import Judgement
from brain.governor.kill_score import KillStats
from brain.governor.reasons import GovernorReason
from brain.governor.rules import GovernorRules
from brain.identifiers import EntryId, PlanId, Symbol
from brain.json_text import read_json
from brain.plans.permit import Kind

_JSON = msgspec.json.Encoder()
#: Reasons that do not follow from a case: judging did not come to an end.
_NOT_FROM_THE_CASE = frozenset({GovernorReason.EVALUATION_FAILED, GovernorReason.STATE_CONTENDED})


class UnreadableRecordError(ValueError):
    """Bytes are no audit record of the Governor, or one whose outcome did not come from a case."""


class GovernorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Audit record. A new field here, or in a struct inside it, needs a default: older records lack it.

    `case` is None where the plan could not be read, or judging failed: `fields` has the plan as published
    then (escaped and truncated, see `brain/text_fields.py`). `judgement` is the exact text of the outcome.
    """

    plan_id: PlanId
    symbol: Symbol | None
    entry_id: EntryId
    issued_by: str
    decided_ms: int
    case: GovernorCase | None
    judgement: msgspec.Raw
    fields: Mapping[str, str] = {}
    v: int = 1


class RecordedJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """Judgement read from a record: like `Judgement`, but decimals in its details stay text."""

    granted: bool
    reason: str
    kind: Kind
    eval_type: str
    details: dict[str, float | int | str | bool | None]
    stats: KillStats | None = None
    z: float | None = None
    cutoff: float | None = None
    qty_scale: float = 1.0
    exit_blocked_since_ms: int | None = None
    exit_block_expired: bool = False
    disarms: str = ""
    disarm_details: dict[str, float | int | str | bool | None] = {}
    warnings: tuple[str, ...] = ()


_RECORDS = msgspec.json.Decoder(GovernorRecord)
_JUDGEMENTS = msgspec.json.Decoder(RecordedJudgement)


def audit_fields(
    judgement: Judgement,
    case: GovernorCase | None,
    *,
    plan_id: PlanId,
    symbol: Symbol | None,
    entry_id: EntryId,
    decided_ms: int,
    issued_by: str,
    fields: Mapping[str, str] | None = None,
    rules: msgspec.Raw | None = None,
    shadow: bool = False,
) -> tuple[str, ...]:
    """Return the names and values of one entry of `governor.audit`; what is not known is empty.

    `rules`: those of the case as JSON, which are the same for many.
    """
    if case is not None and rules is not None:
        case = msgspec.structs.replace(case, rules=rules)
    record = GovernorRecord(
        plan_id=plan_id,
        symbol=symbol,
        entry_id=entry_id,
        issued_by=issued_by,
        decided_ms=decided_ms,
        case=case,
        judgement=msgspec.Raw(_JSON.encode(judgement)),
        fields=fields or {},
    )
    return (
        "plan_id", plan_id,
        "symbol", symbol or "",
        "entry_id", entry_id,
        "granted", "true" if judgement.granted else "false",
        "reason", str(judgement.reason),
        "kind", "" if case is None else str(judgement.kind),
        "eval_type", judgement.eval_type,
        "kill_score", "" if case is None else _float(case.kill_score),
        "kill_z", _float(judgement.z),
        "z_cutoff", _float(judgement.cutoff),
        "trading_state", "" if case is None else str(case.trading_state),
        "decided_ms", str(decided_ms),
        "issued_by", issued_by,
        *(("shadow", "true") if shadow else ()),
        "record", _JSON.encode(record).decode(),
    )  # fmt: skip


def recorded_rules(rules: GovernorRules) -> msgspec.Raw:
    """Return rules as records have them."""
    return msgspec.Raw(_JSON.encode(rules))


def read_record(text: bytes | str) -> GovernorRecord:
    """Parse the `record` of an audit entry. Raises UnreadableRecordError."""
    try:
        return read_json(_RECORDS, text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableRecordError(f"not an audit record of the Governor: {error}") from None


def recorded_judgement(record: GovernorRecord) -> RecordedJudgement:
    """Parse the judgement of a record. Raises UnreadableRecordError."""
    try:
        return read_json(_JUDGEMENTS, record.judgement)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableRecordError(f"not a judgement: {error}") from None


def case_of(record: GovernorRecord) -> GovernorCase:
    """Return the case of a record. Raises UnreadableRecordError where its outcome did not come from one."""
    reason = recorded_judgement(record).reason
    if record.case is None or reason in _NOT_FROM_THE_CASE:
        raise UnreadableRecordError(f"{reason} was not judged on a case")
    return record.case


def same_outcome(record: GovernorRecord, judgement: Judgement) -> bool:
    """Return True if a judgement equals the recorded one in every value, scores to the last bit."""
    recorded: object = msgspec.json.decode(record.judgement)
    judged: object = msgspec.json.decode(_JSON.encode(judgement))
    return recorded == judged


def _float(value: float | None) -> str:
    return "" if value is None else f"{value:.17g}"
