"""P3.3's answer to a plan, derived from the plan's traces."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from brain.decisions.case import Case
from brain.decisions.checks import CHECKS
from brain.decisions.decision import decide, trail
from brain.decisions.facts import LEGS_DO_NOT_ADD_UP, LEGS_UNKNOWN
from brain.decisions.permit_text import (
    AuditRecord,
    NotReplayableError,
    RecordedDecision,
    read_audit,
    recorded_decision,
    same_outcome,
)
from brain.decisions.reason_texts import REASON_TEXTS
from brain.identifiers import PlanId, Symbol
from brain.ledger.ledger import SET_THE_LEGS
from brain.ledger.plan_mark import PlanMark
from brain.moment import iso_utc
from brain.plans.check_results import CheckResult, Outcome
from brain.plans.permit import OpenPermit, Reason
from brain.plans.plan import SkippedPlan, UnanswerablePlan
from brain.positions.position import Leg
from explanation.chain import Part
from explanation.execution import Execution
from explanation.governing import Governing
from explanation.intents import Intention
from explanation.timeline import entry_ms
from explanation.traces import PlanTraces, Published

_FAILED_ADVICE = "Look at /readyz and the service's log: the entry is answered once the service is ready."


class State(StrEnum):
    """Progress of a plan."""

    DECIDED = "decided"
    RECORD_UNREADABLE = "record unreadable"
    RECORD_GONE = "decided, record gone"
    SETTLED_FIRST = "settled before its decision"
    WAITING = "not read yet"
    PENDING = "being decided"
    SKIPPED = "asked for no permit"
    DEAD_LETTERED = "dead-lettered"
    ACKNOWLEDGED = "acknowledged, no record"
    EXECUTION_ALONE = "known to the executor alone"
    JUDGED_ALONE = "known to the Governor alone"


class PermitNow(msgspec.Struct, frozen=True):
    """The permit's present state; `state` in words."""

    there: bool
    state: str
    expires_in_sec: float | None = None
    consumed_by: str | None = None
    signed: bool | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an explanation. Times are Redis's clock, ISO 8601 in UTC."""

    plan_id: PlanId
    symbol: Symbol | None
    state: State
    finding: str
    advice: str
    decision: RecordedDecision | None = None
    decided_by: str | None = None
    checks: list[CheckResult] = []
    notes: list[str] = []
    published_at: str | None = None
    decided_at: str | None = None
    decided_after_ms: int | None = None
    issued_by: str | None = None
    fields: dict[str, str] = {}
    case: Case | None = None
    permit: msgspec.Raw = msgspec.Raw(b"null")
    permit_now: PermitNow
    reservation: OpenPermit | None = None
    unknown_since: str | None = None
    dead_letters: list[str] = []
    #: What each role has left of the plan; no member where that was not looked up.
    chain: list[Part] | msgspec.UnsetType = msgspec.UNSET
    #: Of the intent bridge; no member where it has not made the plan.
    intent: Intention | msgspec.UnsetType = msgspec.UNSET
    #: The time line; no member where there is nothing but P3.3's decision.
    execution: Execution | msgspec.UnsetType = msgspec.UNSET
    #: Of the service's own Governor; no member where it has not judged the plan.
    governor: Governing | msgspec.UnsetType = msgspec.UNSET


def symbol_of(traces: PlanTraces) -> Symbol | None:
    """Return the plan's symbol, if the traces have it."""
    if traces.recorded is not None:
        try:
            return read_audit(traces.recorded.record).symbol
        except NotReplayableError:
            return None
    fields = traces.execution.record if traces.published is None else traces.published.fields
    symbol = fields.get("symbol")
    return Symbol(symbol) if symbol else None


def explain_decision(traces: PlanTraces, reservation: OpenPermit | None) -> Explanation:
    """Explain P3.3's answer alone; `reservation` is what its permit still covers."""
    if traces.recorded is None:
        return _of(traces, *_without_record(traces))
    try:
        audit = read_audit(traces.recorded.record)
        recorded = recorded_decision(audit)
    except NotReplayableError as error:
        finding = f"The plan was decided, but its audit record cannot be read: {error}."
        return _of(
            traces,
            State.RECORD_UNREADABLE,
            finding,
            "Another build may have written it, or another program.",
        )
    return _decided(traces, audit, recorded, reservation)


def _without_record(traces: PlanTraces) -> tuple[State, str, str]:
    """Return state, finding and advice for a plan that has no audit record."""
    published, mark = traces.published, traces.mark
    if published is not None and published.progress != "acknowledged":
        return _unanswered(published, traces.now_ms)
    if isinstance(mark, PlanMark):
        finding = (
            f"The plan was decided (kind {mark.kind}, leg {mark.leg}); its audit record is "
            "gone: the stream keeps the last 100 000 decisions."
        )
        return State.RECORD_GONE, finding, ""
    if traces.dead_letters:
        finding = f"The plan could not be answered and is a dead letter: {traces.dead_letters[0].error}."
        advice = "The publisher has to correct the plan; apply.plan.dead has its fields."
        return State.DEAD_LETTERED, finding, advice
    match published.plan if published is not None else None:
        case SkippedPlan(decision=wish):
            finding = (
                f"The plan's decision field says {wish}: only EXECUTE and RECONCILE_CLOSE ask for a permit."
            )
            return State.SKIPPED, finding, ""
        case UnanswerablePlan(error=error):
            return State.DEAD_LETTERED, f"The plan could not be answered: {error}.", ""
    if mark is not None:
        finding = "A result for this plan came, and no decision: should the plan still come, it is denied."
        return State.SETTLED_FIRST, finding, REASON_TEXTS[Reason.PLAN_ALREADY_SETTLED].advice
    if published is None and traces.execution.found:
        finding = (
            "There is no trace of a plan with this id, and the executor has dealt with it: its order was "
            "found without a record, or it was published long ago or on another stream."
        )
        return State.EXECUTION_ALONE, finding, ""
    if published is None and traces.governor is not None:
        return State.JUDGED_ALONE, "The Governor has judged the plan; nothing else is left of it.", ""
    finding = (
        "The plan was read and is not recorded: its record is gone, or it was decided before "
        "under the same plan id."
    )
    return State.ACKNOWLEDGED, finding, ""


def _unanswered(published: Published, now_ms: int) -> tuple[State, str, str]:
    waited_sec = (now_ms - entry_ms(published.entry_id)) / 1000
    when = f"{waited_sec:.1f} s ago" if waited_sec >= 0 else "under an id that is ahead of Redis's clock"
    if published.progress == "unread":
        finding = f"The plan was published {when}, and the service has not read it yet."
        return State.WAITING, finding, _FAILED_ADVICE
    times = "once" if published.deliveries == 1 else f"{published.deliveries} times"
    finding = (
        f"The plan was published {when} and is being decided: delivered {times}, last "
        f"{published.idle_sec:.1f} s ago to {published.consumer}."
    )
    return State.PENDING, finding, _FAILED_ADVICE


def _decided(
    traces: PlanTraces, audit: AuditRecord, recorded: RecordedDecision, reservation: OpenPermit | None
) -> Explanation:
    checks, notes = _checks(audit, recorded)
    deciding = [check.name for check in checks if check.outcome is Outcome.DENIED]
    return msgspec.structs.replace(
        _of(traces, State.DECIDED, *REASON_TEXTS[recorded.reason], audit),
        decision=recorded,
        decided_by=deciding[0] if deciding and not recorded.allow else None,
        checks=checks,
        notes=[*notes, *_operator_notes(traces, recorded), *_unknown_permits(traces, audit)],
        reservation=reservation,
        unknown_since=iso_utc(traces.unknown.since_ms) if traces.unknown and reservation else None,
    )


def _unknown_permits(traces: PlanTraces, audit: AuditRecord) -> Iterator[str]:
    """Name the open permits that the decision counted and whose order may have been filled."""
    counted = {permit.plan_id for permit in audit.case.open_permits} if audit.case is not None else set()
    for outcome in traces.unknown_permits:
        if outcome.plan_id in counted and outcome.expires_ms > traces.now_ms:
            yield (
                f"The outcome of plan {outcome.plan_id} is unknown since {iso_utc(outcome.since_ms)}; "
                f"its permit ends at {iso_utc(outcome.expires_ms)} at latest."
            )


def _operator_notes(traces: PlanTraces, recorded: RecordedDecision) -> Iterator[str]:
    """Name the fields that an operator has to set."""
    if recorded.details.get("ledger") in (LEGS_UNKNOWN, LEGS_DO_NOT_ADD_UP):
        yield f"Hedge mode: in the ledger, {SET_THE_LEGS}."
    waiting = traces.waiting_result
    if waiting is not None:
        hedged = isinstance(traces.mark, PlanMark) and traces.mark.leg is not Leg.BOTH
        why = ""
        if hedged and waiting.legs_missing:
            why = f": its legs are missing in the ledger: {SET_THE_LEGS}"
        ago = f"{waiting.idle_sec:.1f} s ago"
        yield f"A result of this plan, {waiting.entry_id}, was delivered {ago} and is not booked{why}."


def _checks(audit: AuditRecord, recorded: RecordedDecision) -> tuple[list[CheckResult], list[str]]:
    """Return each check of the record's case, and notes on them."""
    if audit.case is None:
        if recorded.reason is not Reason.MALFORMED_PLAN:
            return [], []
        first = CheckResult(CHECKS[0].name, Outcome.DENIED, dict(recorded.details), recorded.reason)
        return [first, *(CheckResult(each.name, Outcome.NOT_REACHED, {}) for each in CHECKS[1:])], []
    checks = trail(audit.case)
    if recorded.reason is Reason.STATE_CONTENDED:
        return checks, ["The checks below are those of the last attempt, which was not the answer."]
    now = decide(audit.case)
    if same_outcome(audit, now):
        return checks, []
    answer = "ALLOW" if now.allow else "DENY"
    return checks, [
        f"This build decides the same case differently: {answer} {now.reason}. "
        "The checks below are this build's; `replay` shows what differs."
    ]


def _of(
    traces: PlanTraces, state: State, finding: str, advice: str, audit: AuditRecord | None = None
) -> Explanation:
    """Return what every explanation has; `audit` is the plan's audit record, where it can be read."""
    recorded, published = traces.recorded, traces.published
    entry_id = recorded.entry_id if recorded else published.entry_id if published else None
    published_ms = entry_ms(entry_id) if entry_id else None
    if audit is not None and audit.case is not None:
        published_ms = audit.case.entry_ms
    decided_ms = entry_ms(recorded.audit_id) if recorded else None
    return Explanation(
        plan_id=traces.plan_id,
        symbol=audit.symbol if audit else symbol_of(traces),
        state=state,
        finding=finding,
        advice=advice,
        published_at=iso_utc(published_ms) if published_ms else None,
        decided_at=iso_utc(decided_ms) if decided_ms else None,
        decided_after_ms=None if decided_ms is None or published_ms is None else decided_ms - published_ms,
        issued_by=audit.issued_by if audit else None,
        fields=audit.fields if audit else published.fields if published else {},
        case=audit.case if audit else None,
        permit=audit.permit if audit else msgspec.Raw(b"null"),
        permit_now=_permit_now(traces, audit),
        dead_letters=[letter.error for letter in traces.dead_letters],
    )


def _permit_now(traces: PlanTraces, audit: AuditRecord | None) -> PermitNow:
    if traces.permit is not None:
        signed = b',"signature":"' in traces.permit
        if traces.permit_ttl_ms is None:
            return PermitNow(True, "still there, and without an expiry", signed=signed)
        left_sec = traces.permit_ttl_ms / 1000
        return PermitNow(True, f"still there, expires in {left_sec:.1f} s", left_sec, signed=signed)
    if traces.consumed_by is not None:
        return PermitNow(False, f"consumed by {traces.consumed_by}", consumed_by=traces.consumed_by)
    if audit is None or traces.recorded is None:
        return PermitNow(False, "not there")
    age_sec = (traces.now_ms - entry_ms(traces.recorded.audit_id)) / 1000
    if audit.case is not None and age_sec < audit.case.rules.permit_ttl_sec:
        return PermitNow(False, "gone before its time: consumed, or revoked by a result")
    return PermitNow(False, "gone: consumed, revoked or expired")
