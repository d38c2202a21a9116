"""The Governor's judgement of a plan, derived from its traces."""

from __future__ import annotations

import msgspec

from brain.governor.judging import judge, trail
from brain.governor.reasons import GovernorReason
from brain.governor.record import (
    GovernorRecord,
    RecordedJudgement,
    UnreadableRecordError,
    case_of,
    read_record,
    recorded_judgement,
    same_outcome,
)
from brain.identifiers import EntryId
from brain.moment import iso_utc
from brain.plans.check_results import CheckResult
from explanation.compared_numbers import in_words
from explanation.governor_reasons import GOVERNOR_REASON_TEXTS
from explanation.timeline import entry_ms


class GovernorTraces(msgspec.Struct, frozen=True):
    """Traces of the service's own Governor: its audit entry (id, record), permit, and live grant (JSON).

    `shadow`: it judged beside another Governor, and permitted nothing. Permit and grant are UNSET where they
    were not looked up.
    """

    audit_id: EntryId
    record: bytes
    shadow: bool = False
    permit: str | msgspec.UnsetType | None = None
    grant: str | msgspec.UnsetType | None = None


class Governing(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement as it is explained.

    `judgement` is None where its record cannot be read. `permit_now` and `grant_now` are the texts that are
    there at present, None where they are gone; no members where they were not looked up.
    """

    finding: str
    advice: str
    judged_at: str
    shadow: bool = False
    judgement: RecordedJudgement | None = None
    kill_score: float | None = None
    trading_state: str | None = None
    checks: list[CheckResult] = []
    notes: list[str] = []
    issued_by: str | None = None
    permit_now: str | msgspec.UnsetType | None = None
    grant_now: str | msgspec.UnsetType | None = None


def explain_judgement(traces: GovernorTraces) -> Governing:
    """Explain it. Of a record that cannot be read, the time and the permit are left."""
    judged_at = iso_utc(entry_ms(traces.audit_id))
    try:
        record = read_record(traces.record)
        recorded = recorded_judgement(record)
    except UnreadableRecordError as error:
        return Governing(
            finding=f"The Governor judged the plan, but its audit record cannot be read: {error}.",
            advice="Another build may have written it, or another program.",
            judged_at=judged_at,
            shadow=traces.shadow,
            permit_now=traces.permit,
            grant_now=traces.grant,
        )
    finding, advice = _texts(recorded.reason)
    checks, notes = _checks(record)
    case = record.case
    return Governing(
        finding=finding,
        advice=advice,
        judged_at=judged_at,
        shadow=traces.shadow,
        judgement=recorded,
        kill_score=None if case is None else case.kill_score,
        trading_state=None if case is None else case.trading_state.value,
        checks=checks,
        notes=[*notes, *recorded.warnings],
        issued_by=record.issued_by,
        permit_now=traces.permit,
        grant_now=traces.grant,
    )


def judgement_happened(traces: GovernorTraces, governing: Governing) -> tuple[int, str]:
    """Return time and text of the judgement for the time line."""
    judgement = governing.judgement
    who = "The Governor, in its shadow," if traces.shadow else "The Governor"
    if judgement is None:
        return entry_ms(traces.audit_id), f"{who} judges it; the record cannot be read."
    word = "grants" if judgement.granted else "refuses"
    compared = in_words(dict(judgement.details))
    numbers = f" ({compared})" if compared and not judgement.granted else ""
    return entry_ms(traces.audit_id), f"{who} {word} it: {judgement.reason}{numbers}."


def _texts(reason: str) -> tuple[str, str]:
    if reason not in tuple(GovernorReason):
        return f"The Governor's reason is {reason}, which this build does not know.", ""
    return GOVERNOR_REASON_TEXTS[GovernorReason(reason)]


def _checks(record: GovernorRecord) -> tuple[list[CheckResult], list[str]]:
    """Return the checks as this build makes them, and what to note about that."""
    try:
        case = case_of(record)
    except UnreadableRecordError:
        return [], []
    if same_outcome(record, judge(case)):
        return trail(case), []
    return trail(case), [
        f"Judged again on the same input, this build gives another outcome. The record is of "
        f"{record.issued_by}. The checks below are this build's; `replay --governor` shows what differs."
    ]
