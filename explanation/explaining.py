"""The explanation of a plan from its intent to its bookings, derived from its traces."""

from __future__ import annotations

import msgspec

from brain.decisions.permit_text import RecordedDecision
from brain.plans.permit import OpenPermit
from explanation.chain import ChainTraces, Part, parts_of
from explanation.deciding import Explanation, explain_decision
from explanation.execution import explain_execution
from explanation.governing import explain_judgement, judgement_happened
from explanation.intents import BRIDGE, explain_intent, intent_happened
from explanation.timeline import entry_ms
from explanation.traces import PlanTraces


def explain_traces(traces: PlanTraces, reservation: OpenPermit | None = None) -> Explanation:
    """Explain a plan that left some trace; `reservation` is what its permit still covers."""
    explained = explain_decision(traces, reservation)
    if traces.spans is not None:
        explained = msgspec.structs.replace(explained, chain=_chain(traces, explained))
    governor, judged, intent = traces.governor, None, traces.intent
    if governor is not None:
        governing = explain_judgement(governor)
        judged = judgement_happened(governor, governing)
        explained = msgspec.structs.replace(explained, governor=governing)
    if intent is not None:
        explained = msgspec.structs.replace(explained, intent=explain_intent(intent))
    if governor is None and intent is None and not traces.execution.has_lines:
        return explained
    decided = None
    if explained.decision is not None and traces.recorded is not None:
        decided = entry_ms(traces.recorded.audit_id), f"P3.3 {_answer(explained.decision)}."
    published_ms = _published_ms(traces)
    execution = explain_execution(
        traces.execution,
        published_ms=published_ms,
        decided=decided,
        judged=judged,
        before=() if intent is None else intent_happened(intent),
    )
    return msgspec.structs.replace(explained, execution=execution)


def _answer(decision: RecordedDecision) -> str:
    return f"{'allows' if decision.allow else 'denies'} it: {decision.reason}"


def _published_ms(traces: PlanTraces) -> int | None:
    entry_id = traces.recorded.entry_id if traces.recorded else None
    if traces.published is not None:
        entry_id = traces.published.entry_id
    return entry_ms(entry_id) if entry_id else None


def _chain(traces: PlanTraces, explained: Explanation) -> list[Part]:
    fields = explained.fields
    return parts_of(
        ChainTraces(
            published_ms=_published_ms(traces),
            source=fields.get("source", ""),
            of_bridge=BRIDGE in (fields.get("source"), fields.get("signature")),
            decision=fields.get("decision", ""),
            answer=explained.state if explained.decision is None else _answer(explained.decision),
            intent=traces.intent,
            governor=traces.governor,
            governor_permit=traces.governor_permit,
            consumed_by=traces.consumed_by,
            execution=traces.execution,
            spans=traces.spans or {},
        )
    )
