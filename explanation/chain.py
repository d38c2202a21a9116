"""The chain's parts for one plan: what each role has left of it, or why nothing of it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from brain.moment import iso_utc
from explanation.execution import ExecutionTraces, error_of, permits_of, result_line
from explanation.governing import GovernorTraces
from explanation.intents import IntentTraces

PartState = Literal["here", "elsewhere", "trimmed", "silent", "not yet", "none"]


class StreamSpan(NamedTuple):
    """Times of a stream's first and last entry (Redis's clock, epoch ms); 0 where it has none.

    `readable`: the Redis user may read it.
    """

    first_ms: int
    last_ms: int
    readable: bool = True


class Part(msgspec.Struct, frozen=True):
    """A part of the chain.

    `state`: `here`, its trace is here; `elsewhere`, another service plays the role; `trimmed`, its stream
    begins later; `silent`, there is no trace and its stream would have one; `not yet`; `none`, not needed.
    """

    name: str
    state: PartState
    text: str


class ChainTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Traces that show where a plan's way has gone.

    `of_bridge`: source or signature say that a bridge made the plan. `answer`: of P3.3 in words, empty
    where there is none. `spans`: by the name of the role. `governor_permit`: the Governor's permit
    lives now.
    """

    published_ms: int | None
    source: str
    of_bridge: bool
    decision: str
    answer: str
    intent: IntentTraces | None
    governor: GovernorTraces | None
    governor_permit: bool
    consumed_by: str | None
    execution: ExecutionTraces
    spans: Mapping[str, StreamSpan]


def parts_of(traces: ChainTraces) -> list[Part]:
    """Return the parts in the order of the chain."""
    return [*_parts(traces)]


def _parts(traces: ChainTraces) -> Iterator[Part]:
    yield _intent(traces)
    yield _governor(traces)
    if traces.answer:
        yield Part("P3.3", "here", traces.answer)
    else:
        yield _missing("P3.3", "the service", traces)
    yield _executor(traces)
    yield _ledger(traces)


def _intent(traces: ChainTraces) -> Part:
    intent = traces.intent
    if intent is not None and intent.audit is not None:
        name = intent.stream.rpartition(":")[2]
        return Part("intent", "here", f"{intent.entry_id} of {name}, made a plan by the bridge")
    if not traces.of_bridge:
        return Part("intent", "none", f"none of the bridge: source {traces.source or 'not given'}")
    return _missing("intent", "the intent bridge", traces)


def _governor(traces: ChainTraces) -> Part:
    own = traces.governor
    if own is not None and not own.shadow:
        return Part("Governor", "here", "judged by this service's own, below")
    if traces.decision == "RECONCILE_CLOSE":
        return Part("Governor", "none", "not asked for a RECONCILE_CLOSE")
    beside = "; this service's own ran in shadow, below" if own is not None else ""
    foreign = _foreign_governor(traces)
    if foreign:
        return Part("Governor", "elsewhere", f"another one {foreign}{beside}")
    missing = _missing("Governor", "the Governor", traces)
    return Part(missing.name, missing.state, f"{missing.text}{beside}")


def _foreign_governor(traces: ChainTraces) -> str:
    if traces.execution.block is not None:
        return f"refuses it: {_member(traces.execution.block, 'reason') or 'its block cannot be read'}"
    if traces.governor_permit or "Governor" in permits_of(traces.execution):
        return "grants it"
    for each in traces.execution.results:
        error = error_of(each.fields)
        if error.startswith("permit_denied (Governor"):
            return f"refuses it: {error}"
        if error.startswith("permit_timeout") and "Governor" in error:
            return f"gives no permit in time: {error}"
    return ""


def _executor(traces: ChainTraces) -> Part:
    execution = traces.execution
    latest = result_line(execution.results[-1].fields) if execution.results else ""
    if execution.found:
        return Part("executor", "here", latest or f"its record: {execution.record.get('state', 'gone')}")
    if execution.results:
        source = execution.results[-1].fields.get("source")
        return Part("executor", "elsewhere", f"another one ({source or 'without a name'}): {latest}")
    if execution.dead_results:
        return Part("executor", "elsewhere", "another one: its result is a dead letter")
    if traces.consumed_by is not None:
        return Part("executor", "elsewhere", f"{traces.consumed_by} has the permits, and no result is here")
    return _missing("executor", "the executor", traces)


def _ledger(traces: ChainTraces) -> Part:
    booked = traces.execution.booked
    if booked:
        return Part(
            "ledger", "here", ", ".join(f"{each.quantity} of order {each.order_id}" for each in booked)
        )
    executed = [each for each in traces.execution.results if _is_executed(each.fields)]
    if not executed:
        return Part("ledger", "none", "nothing to book")
    if traces.decision == "RECONCILE_CLOSE":
        return Part("ledger", "none", "a RECONCILE_CLOSE moves no ledger")
    return Part("ledger", "not yet", "the order memory has none of its orders: not booked yet, or forgotten")


def _is_executed(fields: Mapping[str, str]) -> bool:
    return fields.get("executed", "").lower() in ("true", "1")


def _missing(name: str, role: str, traces: ChainTraces) -> Part:
    """Return why there is no trace, by the span of the role's stream."""
    span, at_ms = traces.spans.get(name), traces.published_ms
    if span is not None and not span.readable:
        return Part(name, "silent", f"the Redis user may not read what {role} leaves")
    if span is None or not span.last_ms:
        return Part(
            name, "silent", f"nothing of {role} is in this Redis: it is off, or another service plays it"
        )
    if at_ms is None:
        return Part(name, "silent", "no trace")
    if span.first_ms > at_ms:
        return Part(name, "trimmed", f"trimmed: what is kept of {role} begins at {iso_utc(span.first_ms)}")
    if span.last_ms < at_ms:
        text = f"no trace yet: the latest of {role} is of {iso_utc(span.last_ms)}, it may be off"
        return Part(name, "not yet", text)
    return Part(
        name,
        "silent",
        f"no trace, and there are older and newer ones of {role}: it was off, or another service played it",
    )


def _member(text: str, name: str) -> str:
    try:
        members = json.loads(text)
    except ValueError:
        return ""
    return str(members.get(name, "")) if isinstance(members, dict) else ""
