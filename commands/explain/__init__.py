"""`explain X`: the way of a plan, an order or an intent through the chain, or the case of a symbol."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec
from redis.exceptions import RedisError
from rich.console import RenderableType

from commands.clients.redis_reading import RedisReading, reading
from commands.console.terminal import printable, show
from commands.explain.case_lookup import look_for_case
from commands.explain.case_view import case_view
from commands.explain.intent_view import intent_view
from commands.explain.lookup import look_for, look_for_reservation
from commands.explain.subjects import Ambiguous, SymbolNamed, not_found, subject_of
from commands.explain.view import explanation_view
from explanation.case import CaseExplained, explain_case
from explanation.deciding import Explanation, symbol_of
from explanation.explaining import explain_traces
from explanation.intents import Intention, IntentTraces, explain_intent
from explanation.sections import sections_of
from explanation.traces import PlanTraces

_JSON = msgspec.json.Encoder(decimal_format="number")


def explain(environ: Mapping[str, str], subject: str, *, as_json: bool) -> int:
    """Print the explanation of what a text names; the exit code is 1 without a trace of it.

    The beginning of an id suffices where only one begins so, since log lines shorten ids. Raises
    SettingsError.
    """
    with reading(environ) as redis:
        try:
            explained = _explained(subject, redis)
        except RedisError as error:
            print(f"position-state-brain: Redis at {redis.address}: {error}", file=sys.stderr)
            return 1
    if isinstance(explained, str):
        print(f"position-state-brain: {explained}", file=sys.stderr)
        return 1
    if as_json:
        print(_JSON.encode(explained).decode())
    else:
        show(_view(explained))
    return 0


def _explained(subject: str, redis: RedisReading) -> Explanation | CaseExplained | Intention | str:
    """Return the explanation, or the sentence why there is none."""
    named = subject_of(subject, redis)
    match named:
        case None:
            return not_found(subject, redis)
        case Ambiguous(kind, ids):
            begin = printable(subject.strip())
            return f"several {kind} begin with {begin}, such as {', '.join(map(printable, ids))}"
        case SymbolNamed(symbol, order_id):
            traces = look_for_case(symbol, redis)
            return explain_case(msgspec.structs.replace(traces, order_id=order_id))
        case IntentTraces():
            return _intent(named, redis)
        case PlanTraces():
            return _plan(named, redis)


def _intent(traces: IntentTraces, redis: RedisReading) -> Explanation | Intention:
    """Return the explanation of the intent's plan, or of the intent alone where none is there."""
    intention = explain_intent(traces)
    if intention.plan_id is None:
        return intention
    plan = look_for(intention.plan_id, redis)
    # A shadow's plan exists only where the bridge that acts has made the same.
    return _plan(plan, redis) if plan.found else intention


def _plan(traces: PlanTraces, redis: RedisReading) -> Explanation:
    symbol = symbol_of(traces)
    reservation = None if symbol is None else look_for_reservation(traces.plan_id, symbol, redis)
    return explain_traces(traces, reservation)


def _view(explained: Explanation | CaseExplained | Intention) -> RenderableType:
    match explained:
        case CaseExplained():
            return case_view(explained)
        case Intention():
            return intent_view(explained)
        case _:
            return explanation_view(sections_of(explained))
