"""What another executor has done with a plan, by the results and marks that it has left in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from brain.ledger.result import ExecutedResult, RefusedResult, read_result
from brain.numbers import NotANumberError, parse_decimal, plain
from explanation.comparison import Pair, Side, Theirs, by_absence, proven, unknown
from explanation.execution import error_of

#: Errors by which ours had no permit because the other executor was faster.
_TAKEN = ("permit_already_consumed", "permit_timeout")


class ExecutorEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Traces of a plan. `results` are the fields of its results, oldest first.

    `consumed_by`: the consumer that the gate's mark names. `over`: the plan is so old that an executor would
    have published its result; `trimmed`: that result may be gone.
    """

    results: tuple[Mapping[str, str], ...] = ()
    consumed_by: str | None = None
    over: bool = True
    trimmed: bool = False


def executors_answer(evidence: ExecutorEvidence) -> Theirs:
    """Return whether it sent an order."""
    for fields in reversed(evidence.results):
        read = read_result({name.encode(): text.encode() for name, text in fields.items()})
        if isinstance(read, ExecutedResult):
            return proven(True, "executed", "its result")
        error = error_of(fields)
        if isinstance(read, RefusedResult):
            tried = error.startswith("binance_error") or read.unknown is not None
            return proven(tried, error or "no reason given", "its result")
        return unknown("its result cannot be read")
    if evidence.consumed_by is not None:
        return proven(True, f"permits consumed by {evidence.consumed_by}", "the gate's mark")
    if evidence.trimmed:
        return unknown("its results of that time are trimmed")
    if not evidence.over:
        return unknown("it may still be at work on it")
    return by_absence(False, "no result", "the results, which have none of it")


def compared_executions(
    plan_id: str, symbol: str, at: str, ours: Mapping[str, str], evidence: ExecutorEvidence
) -> Pair:
    """Return our dry run of a plan beside what the other executor did.

    A dry run consumes no permits: where the other one had consumed them before ours looked, ours shows
    nothing.
    """
    would = ours.get("would_execute") == "true"
    error = ours.get("error", "")
    theirs = executors_answer(evidence)
    if not would and theirs.side is not None and theirs.side.yes and error.startswith(_TAKEN):
        theirs = unknown("it had the permits before the dry run looked for them")
    note = _quantities(ours, evidence) if would and theirs.side is not None and theirs.side.yes else ""
    reason = f"{ours.get('side', '')} {ours.get('qty', '')}".strip() if would else error
    return Pair(id=plan_id, symbol=symbol, at=at, ours=Side(would, reason), theirs=theirs, note=note)


def _quantities(ours: Mapping[str, str], evidence: ExecutorEvidence) -> str:
    """Return both quantities where they differ; empty where they agree, or its is not known."""
    theirs = _ordered(evidence)
    try:
        own = parse_decimal(ours.get("qty", ""))
    except NotANumberError:
        return ""
    if theirs is None or theirs == own:
        return ""
    return f"quantity {plain(own)}, theirs {plain(theirs)}"


def _ordered(evidence: ExecutorEvidence) -> Decimal | None:
    """Return the ordered quantity, or what a filled order has filled."""
    for fields in reversed(evidence.results):
        read = read_result({name.encode(): text.encode() for name, text in fields.items()})
        if isinstance(read, ExecutedResult):
            if fields.get("qty"):
                try:
                    return parse_decimal(fields["qty"])
                except NotANumberError:
                    return None
            if all(each.status in ("FILLED", "") for each in read.orders):
                return sum((each.cumulative for each in read.orders), Decimal(0))
    return None
