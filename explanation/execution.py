"""One time line of a plan: decision, judgement, and its execution by the service's own executor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec

from brain.identifiers import EntryId
from brain.moment import iso_utc

_PERMIT = "permit:"
#: Of entries of one millisecond: an order's record is written with its result, and both before the booking.
_AUDIT, _RESULT, _BOOKING = range(3)
_SOURCES = {
    "answer": "By the exchange's answer",
    "event": "By an event of the private stream",
    "query": "By a query of the order",
    "takeover": "By what an earlier process had recorded",
}


class Dated(msgspec.Struct, frozen=True):
    """An entry of a stream: its id has Redis's time."""

    entry_id: EntryId
    fields: Mapping[str, str]


class Booked(msgspec.Struct, frozen=True):
    """The order memory of an order: the quantity that is in the ledger, since `at_ms` (Redis's clock)."""

    order_id: str
    quantity: str
    at_ms: int


class ExecutionTraces(msgspec.Struct, frozen=True):
    """All traces of a plan's execution.

    `steps` are of `executor.audit`, `results` of `apply.result`, both oldest first. `record` is the order's
    as it is stored, empty where there is none. `block` is the Governor's refusal. `held`: the executor holds
    the symbol for this order.
    """

    steps: tuple[Dated, ...] = ()
    results: tuple[Dated, ...] = ()
    record: Mapping[str, str] = {}
    block: str | None = None
    booked: Booked | None = None
    held: bool = False

    @property
    def found(self) -> bool:
        """True if the service's own executor has dealt with the plan."""
        return bool(self.steps or self.record)


class Happening(msgspec.Struct, frozen=True):
    """One line of the time line. `at` is Redis's clock, or for the Governor's block its own."""

    at: str
    what: str


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
) -> Execution:
    """Explain it. `decided`, `judged`: time and text of P3.3's decision, and of our Governor's judgement."""
    happened: list[tuple[int, int, str]] = []
    if published_ms is not None:
        happened.append((published_ms, -2, "The plan was published."))
    happened += [(each[0], -1, each[1]) for each in (judged, decided) if each is not None]
    if traces.block is not None and judged is None:
        happened.append(_block(traces.block, published_ms or 0))
    for step in traces.steps:
        happened += [(entry_ms(step.entry_id), _AUDIT, text) for text in step_lines(step.fields)]
    happened += [(entry_ms(each.entry_id), _RESULT, result_line(each.fields)) for each in traces.results]
    if traces.booked is not None:
        booked = traces.booked
        text = f"Booked in the ledger: {booked.quantity} of order {booked.order_id}."
        happened.append((booked.at_ms, _BOOKING, text))
    happened.sort(key=lambda each: each[:2])
    return Execution(
        timeline=[Happening(iso_utc(at_ms), text) for at_ms, _, text in happened],
        record=dict(traces.record),
        permits={
            name.removeprefix(_PERMIT): text
            for step in traces.steps
            for name, text in step.fields.items()
            if name.startswith(_PERMIT)
        },
        governor_block=traces.block,
        held=traces.held,
    )


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
    """Return the line of a result of an order."""
    if fields.get("executed") != "true":
        return f"Result: not executed, {fields.get('error') or 'no reason given'}."
    price = f" at {fields['avg_price']}" if fields.get("avg_price") else ""
    return (
        f"Result: order {fields.get('order_id')} {fields.get('order_status')}, "
        f"{fields.get('filled_qty')} of {fields.get('qty')} filled{price}."
    )


def _block(text: str, published_ms: int) -> tuple[int, int, str]:
    try:
        members = json.loads(text)
        reason, at_ms = str(members["reason"]), round(float(members["timestamp"]) * 1000)
    except (ValueError, TypeError, KeyError):
        return published_ms, _AUDIT, f"The Governor's block cannot be read: {text}."
    return at_ms, _AUDIT, f"The Governor blocks the plan: {reason}."


def entry_ms(entry_id: EntryId) -> int:
    """Return the time of an entry (Redis's clock, epoch ms); 0 for an id that has none."""
    milliseconds = entry_id.partition("-")[0]
    return int(milliseconds) if milliseconds.isdecimal() else 0
