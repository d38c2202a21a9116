"""The case of a symbol: how exchange and ledger came to differ, what was done about it, and what can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from brain.identifiers import Symbol
from brain.reconciliation.case_life import CaseStatus
from explanation.case_events import NamedOrder, event_line, named_orders
from explanation.execution import Booked, result_line, step_lines
from explanation.timeline import Dated, Happened, Happening, timeline_of

#: Of entries of one millisecond: what the executor has done comes before what is said of it.
_STEP, _RESULT, _EVENT, _BOOKING = range(4)
_MOST_LINES = 100
_FINDINGS = {
    CaseStatus.OK: "Exchange and ledger agree.",
    CaseStatus.REPAIRED: "Exchange and ledger differed; the missing fills were proven and are booked.",
    CaseStatus.DRIFT: "Exchange and ledger differ, and the reconcile engine does not hold the symbol.",
    CaseStatus.HOLD: "Exchange and ledger differ: the symbol is held while the evidence is looked at.",
    CaseStatus.MANUAL_REQUIRED: "Exchange and ledger differ, and a person has to say which of them is right.",
}


class HoldNow(msgspec.Struct, frozen=True):
    """A hold that stands: its value, its owner (empty: none), and its end (None: it does not expire)."""

    value: str
    sig: str
    reason: str
    ttl_sec: float | None


class CaseTraces(msgspec.Struct, frozen=True, kw_only=True):
    """All traces of a symbol's case. Hashes are empty where they are missing.

    `events` are of `reconcile.events`, `shadow_events` of the engine's shadow, oldest first. `state` is the
    shadow's where `shadow`. `steps`, `results`, `dead_results` are those of the orders that are named.
    `order_id`: an order by which the case was asked for.
    """

    symbol: Symbol
    now_ms: int
    state: Mapping[str, str]
    shadow: bool
    hold: HoldNow | None
    ledger: Mapping[str, str]
    snapshot: Mapping[str, str]
    events: tuple[Dated, ...] = ()
    shadow_events: tuple[Dated, ...] = ()
    steps: tuple[Dated, ...] = ()
    results: tuple[Dated, ...] = ()
    dead_results: tuple[Dated, ...] = ()
    booked: tuple[Booked, ...] = ()
    order_id: str = ""


class CaseExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's case as it is explained. `status` is empty where no reconcile engine has written a state."""

    symbol: str
    status: str
    finding: str
    why: str
    advice: str
    shadow: bool
    state: dict[str, str]
    hold: HoldNow | None
    ledger: dict[str, str]
    exchange: dict[str, str]
    evidence: list[NamedOrder]
    timeline: list[Happening]
    left_out: int
    order_id: str = ""


def explain_case(traces: CaseTraces) -> CaseExplained:
    """Explain it; the time line has its latest 100 lines."""
    state = traces.state
    status = state.get("status", "")
    happened = list(_happened(traces))
    return CaseExplained(
        symbol=traces.symbol,
        status=status,
        finding=_finding(status, traces),
        why=state.get("why", ""),
        advice=state.get("advice", ""),
        shadow=traces.shadow,
        state=dict(state),
        hold=traces.hold,
        ledger=dict(traces.ledger),
        exchange=dict(traces.snapshot),
        evidence=list(named_orders(state)),
        timeline=timeline_of(happened, _MOST_LINES),
        left_out=max(len(happened) - _MOST_LINES, 0),
        order_id=traces.order_id,
    )


def _finding(status: str, traces: CaseTraces) -> str:
    if not status:
        text = "No reconcile engine has written a state of this symbol within a day."
        if traces.hold is None:
            return text
        return f"{text} It is held by {traces.hold.sig or 'an owner that has left no name'}."
    known = _FINDINGS.get(CaseStatus(status)) if status in tuple(CaseStatus) else None
    text = known or f"The state is {status}, which this build does not know."
    return f"{text} This is the reconcile engine's shadow, which changes nothing." if traces.shadow else text


def _happened(traces: CaseTraces) -> Iterator[Happened]:
    for step in traces.steps:
        plan_id = step.fields.get("plan_id", "")
        for text in step_lines(step.fields):
            yield Happened(step.at_ms, _STEP, f"Plan {plan_id}: {text}")
    for each in traces.results:
        plan_id = each.fields.get("plan_id", "")
        yield Happened(each.at_ms, _RESULT, f"Plan {plan_id}: {result_line(each.fields)}")
    for each in traces.dead_results:
        plan_id, error = each.fields.get("plan_id", ""), each.fields.get("error")
        yield Happened(each.at_ms, _RESULT, f"Plan {plan_id}: its result is a dead letter: {error}.")
    for each in traces.events:
        yield Happened(each.at_ms, _EVENT, event_line(each.fields))
    for each in traces.shadow_events:
        yield Happened(each.at_ms, _EVENT, f"In its shadow: {event_line(each.fields)}")
    for booked in traces.booked:
        text = f"Booked in the ledger: {booked.quantity} of order {booked.order_id}."
        yield Happened(booked.at_ms, _BOOKING, text)
