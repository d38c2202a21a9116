"""The intent behind a plan, and what an intent bridge made of it, derived from its traces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from brain.identifiers import PlanId
from brain.moment import iso_utc
from explanation.timeline import Dated, Happened, Happening, entry_ms, timeline_of

#: Source of a plan that a bridge has made of an intent without a source, and signature of all.
BRIDGE = "intent_bridge"
#: Before the publication of the plan, which has -2 (`explanation.execution`).
_INTENT, _OUTCOME = -4, -3
_AUDIT_ALONE = frozenset({"record", "entry_id", "stream", "plan_id", "outcome", "reason", "mode"})


class IntentTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Traces of one intent: its entry, and the bridge's audit entries of it, oldest first.

    `stream` is the intent's, `entry_id` its entry. `entry` is None where the stream has trimmed it. `shadows`
    are of a bridge that ran beside another. `progress`: how far the bridge's group is with it. `candidates`:
    plans of the symbol that were published shortly after an intent of which there is no audit entry.
    """

    stream: str
    entry_id: str
    entry: Dated | None = None
    audit: Dated | None = None
    shadows: tuple[Dated, ...] = ()
    progress: Literal["unread", "pending", "acknowledged", "no group"] = "no group"
    candidates: tuple[PlanId, ...] = ()

    @property
    def decided(self) -> Dated | None:
        """Return the audit entry that counts: that of the bridge that acts, else of its shadow."""
        return self.audit or (self.shadows[-1] if self.shadows else None)


class Intention(msgspec.Struct, frozen=True, kw_only=True):
    """An intent as it is explained.

    `outcome` is the bridge's, `plan` or a refusal, empty where it has dealt with none. `fields` are the
    intent's as published; `based_on` those of the audit entry, `record` its complete input and outcome.
    """

    entry_id: str
    stream: str
    intent_id: str
    symbol: str
    outcome: str
    reason: str
    plan_id: PlanId | None
    finding: str
    published_at: str
    shadow: bool
    fields: dict[str, str] = {}
    based_on: dict[str, str] = {}
    record: msgspec.Raw = msgspec.Raw(b"null")
    candidates: list[PlanId] = []
    timeline: list[Happening] = []


def explain_intent(traces: IntentTraces) -> Intention:
    """Explain an intent by itself, with its own time line."""
    decided = traces.decided
    audit: Mapping[str, str] = {} if decided is None else decided.fields
    fields = {} if traces.entry is None else dict(traces.entry.fields)
    plan_id = audit.get("plan_id")
    return Intention(
        entry_id=traces.entry_id,
        stream=traces.stream,
        intent_id=audit.get("intent_id") or fields.get("intent_id") or _of_record(audit, "intent_id"),
        symbol=audit.get("symbol") or fields.get("symbol", ""),
        outcome=audit.get("outcome", ""),
        reason=audit.get("reason", ""),
        plan_id=PlanId(plan_id) if plan_id and audit.get("outcome") == "plan" else None,
        finding=_finding(traces),
        published_at=iso_utc(entry_ms(traces.entry_id)),
        shadow=traces.audit is None and bool(traces.shadows),
        fields=fields,
        based_on={name: text for name, text in audit.items() if name not in _AUDIT_ALONE and text},
        record=_record(audit.get("record")),
        candidates=list(traces.candidates),
        timeline=timeline_of(intent_happened(traces)),
    )


def intent_happened(traces: IntentTraces) -> Iterator[Happened]:
    """Yield the lines of the intent's own way."""
    name = traces.stream.rpartition(":")[2]
    yield Happened(entry_ms(traces.entry_id), _INTENT, f"The intent was published on {name}.")
    for shadow in traces.shadows:
        yield Happened(shadow.at_ms, _OUTCOME, f"The bridge, in its shadow, {_outcome(shadow.fields)}.")
    if traces.audit is not None:
        yield Happened(traces.audit.at_ms, _OUTCOME, f"The bridge {_outcome(traces.audit.fields)}.")


def _outcome(audit: Mapping[str, str]) -> str:
    if audit.get("outcome") == "plan":
        return f"makes it plan {audit.get('plan_id')}"
    return f"refuses it: {audit.get('reason') or audit.get('outcome') or 'no reason given'}"


def _finding(traces: IntentTraces) -> str:
    decided = traces.decided
    if decided is not None:
        shadow = "" if traces.audit is not None else ", in its shadow: another bridge acts"
        if decided.fields.get("outcome") == "plan":
            return f"The bridge made it plan {decided.fields.get('plan_id')}{shadow}."
        return f"The bridge refused it: {decided.fields.get('reason') or 'no reason given'}{shadow}."
    if traces.progress == "unread":
        return "The bridge has not read it yet."
    if traces.progress == "pending":
        return "The bridge has read it, and is not done with it."
    if traces.progress == "acknowledged":
        return (
            "The bridge's group has dealt with it, and there is no audit entry of it: it is trimmed, or "
            "another bridge played the role."
        )
    return "No bridge reads its stream: P33_INTENT_BRIDGE is off, and no other service has the group."


def _of_record(audit: Mapping[str, str], name: str) -> str:
    """Return a field of the intent as the record has it; empty without one."""
    try:
        published = json.loads(audit.get("record", "")).get("fields", {})
        return str(published.get(name, ""))
    except (ValueError, AttributeError):
        return ""


def _record(text: str | None) -> msgspec.Raw:
    """Return the record where it is JSON, else its text."""
    if text is None:
        return msgspec.Raw(b"null")
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return msgspec.Raw(msgspec.json.encode(text))
    return msgspec.Raw(text.encode())
