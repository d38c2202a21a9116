"""One time line of a plan: from its intent to its bookings, whichever services played the roles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from brain.ledger.result import ExecutedResult, read_result
from brain.moment import iso_utc
from brain.numbers import plain
from explanation.case_events import event_line
from explanation.timeline import Dated, Happened, Happening, timeline_of

_PERMIT = "permit:"
#: Of entries of one millisecond: a plan is published, judged and decided before it is executed; an order's
#: record is written with its result, and both before the booking.
_PUBLISHED, _DECIDED, _AUDIT, _RESULT, _EVENT, _BOOKING = range(-2, 4)
_SOURCES = {
    "answer": "By the exchange's answer",
    "event": "By an event of the private stream",
    "query": "By a query of the order",
    "takeover": "By what an earlier process had recorded",
}


class Booked(msgspec.Struct, frozen=True):
    """The order memory of an order: the quantity that is in the ledger, since `at_ms` (Redis's clock)."""

    order_id: str
    quantity: str
    at_ms: int


class ExecutionTraces(msgspec.Struct, frozen=True):
    """All traces of a plan's execution.

    `steps` are of `executor.audit`, `results` of `apply.result`, `dead_results` of its dead letters, `events`
    of `reconcile.events`, all oldest first. `record` is the order's as it is stored, empty where there is
    none. `block` is the Governor's refusal. `held`: the executor holds the symbol for this order.
    """

    steps: tuple[Dated, ...] = ()
    results: tuple[Dated, ...] = ()
    record: Mapping[str, str] = {}
    block: str | None = None
    booked: tuple[Booked, ...] = ()
    held: bool = False
    dead_results: tuple[Dated, ...] = ()
    events: tuple[Dated, ...] = ()

    @property
    def found(self) -> bool:
        """True if the service's own executor has dealt with the plan."""
        return bool(self.steps or self.record)

    @property
    def has_lines(self) -> bool:
        """True if there is more of the plan than its decision."""
        return self.found or self.block is not None or bool(self.results or self.dead_results or self.events)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The execution as it is explained. `permits`: the consumed ones by issuer, as they were."""

    timeline: list[Happening]
    record: dict[str, str]
    permits: dict[str, str]
    governor_block: str | None
    held: bool


def explain_execution(
    traces: ExecutionTraces,
    *,
    published_ms: int | None,
    decided: tuple[int, str] | None,
    judged: tuple[int, str] | None = None,
    before: Iterable[Happened] = (),
) -> Execution:
    """Explain it.

    `decided`, `judged`: time and text of P3.3's decision, and of our Governor's judgement. `before`: lines of
    the intent that the plan was made of.
    """
    happened = list(before)
    if published_ms is not None:
        happened.append(Happened(published_ms, _PUBLISHED, "The plan was published."))
    happened += [Happened(each[0], _DECIDED, each[1]) for each in (judged, decided) if each is not None]
    if traces.block is not None and judged is None:
        happened.append(_block(traces.block, published_ms or 0))
    for step in traces.steps:
        happened += [Happened(step.at_ms, _AUDIT, text) for text in step_lines(step.fields)]
    happened += [Happened(each.at_ms, _RESULT, result_line(each.fields)) for each in traces.results]
    happened += [Happened(each.at_ms, _RESULT, dead_result_line(each.fields)) for each in traces.dead_results]
    happened += [Happened(each.at_ms, _EVENT, event_line(each.fields)) for each in traces.events]
    for booked in traces.booked:
        text = f"Booked in the ledger: {booked.quantity} of order {booked.order_id}."
        happened.append(Happened(booked.at_ms, _BOOKING, text))
    return Execution(
        timeline=timeline_of(happened),
        record=dict(traces.record),
        permits=permits_of(traces),
        governor_block=traces.block,
        held=traces.held,
    )


def permits_of(traces: ExecutionTraces) -> dict[str, str]:
    """Return the permits that our executor has consumed, by issuer, as they were."""
    return {
        name.removeprefix(_PERMIT): text
        for step in traces.steps
        for name, text in step.fields.items()
        if name.startswith(_PERMIT)
    }


def step_lines(fields: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a step of the executor's audit."""
    match fields.get("step"):
        case "begin":
            yield from _begin(fields)
        case "refuse":
            waited = f" after {fields['waited_ms']} ms of waiting" if fields.get("waited_ms") else ""
            yield f"No order{waited}: {fields.get('error')}."
        case "answer" if "answer" in fields:
            yield f"The answer to the request does not show what became of it: {fields['answer']}."
        case "query" if "answer" in fields:
            yield _query(fields)
        case "hold":
            yield f"The executor holds the symbol: {fields.get('reason')}."
        case "release":
            yield "The executor releases the symbol."
        case "orphan":
            yield f"An order of this account's executor was found without a record: {fields.get('order_id')}."
        case _:
            yield _progress(fields)


def _begin(fields: Mapping[str, str]) -> Iterator[str]:
    issuers = [name.removeprefix(_PERMIT) for name in fields if name.startswith(_PERMIT)]
    yield f"The permits are consumed after {fields.get('waited_ms')} ms of waiting: {', '.join(issuers)}."
    if fields.get("kind") == "none":
        return
    only = ", reduce-only" if fields.get("reduce_only") == "true" else ""
    latest_ms = int(fields.get("timestamp_ms", 0)) + int(fields.get("recv_window_ms", 0))
    yield (
        f"An order is begun: {fields.get('side')} {fields.get('quantity')} ({fields.get('kind')}{only}), "
        f"client order id {fields.get('client_order_id')}; the exchange refuses a request that arrives after "
        f"{iso_utc(latest_ms)}."
    )


def _query(fields: Mapping[str, str]) -> str:
    answer = "no such order" if fields["answer"] == "-2013" else fields["answer"]
    lacking = (
        f"; for a proof that there is none it lacks {fields['lacking']}" if fields.get("lacking") else ""
    )
    return f"The exchange was asked for the order: {answer}{lacking}."


def _progress(fields: Mapping[str, str]) -> str:
    by = _SOURCES.get(fields.get("source", ""), "By the executor")
    state = "is final" if fields.get("step") == "finish" else "goes on"
    if fields.get("error"):
        return f"{by} the order {state}: {fields['error']}."
    if not fields.get("status"):
        return f"{by} it is not known whether there is an order."
    return f"{by} the order {state}: {fields['status']}, {fields.get('cumulative')} filled."


def result_line(fields: Mapping[str, str]) -> str:
    """Return the line of a result, in any of the three dialects."""
    if fields.get("executed", "").lower() not in ("true", "1"):
        return f"Result: not executed, {error_of(fields) or 'no reason given'}."
    if "order_status" not in fields or "qty" not in fields:
        return _orders_line(fields)
    price = f" at {fields['avg_price']}" if fields.get("avg_price") else ""
    return (
        f"Result: order {fields.get('order_id')} {fields.get('order_status')}, "
        f"{fields.get('filled_qty')} of {fields.get('qty')} filled{price}."
    )


def dead_result_line(fields: Mapping[str, str]) -> str:
    """Return the line of a result that cannot be booked."""
    return f"Its result is a dead letter: {fields.get('error')}."


def error_of(fields: Mapping[str, str]) -> str:
    """Return the reason of a refused result, which some executors put into `details`."""
    said = fields.get("error") or fields.get("reason")
    if said:
        return said
    try:
        details = json.loads(fields.get("details") or "{}")
    except ValueError:
        return ""
    found = (details.get("error") or details.get("reason")) if isinstance(details, dict) else None
    return found if isinstance(found, str) else ""


def _orders_line(fields: Mapping[str, str]) -> str:
    read = read_result({name.encode(): value.encode() for name, value in fields.items()})
    if not isinstance(read, ExecutedResult):
        return "Result: executed, without an order that can be read."
    orders = (
        f"order {each.order_id} {each.status or 'executed'}, {plain(each.cumulative)} filled"
        for each in read.orders
    )
    return f"Result: {'; '.join(orders)}."


def _block(text: str, published_ms: int) -> Happened:
    try:
        members = json.loads(text)
        reason, at_ms = str(members["reason"]), round(float(members["timestamp"]) * 1000)
    except (ValueError, TypeError, KeyError):
        return Happened(published_ms, _AUDIT, f"The Governor's block cannot be read: {text}.")
    return Happened(at_ms, _AUDIT, f"The Governor blocks the plan: {reason}.")
