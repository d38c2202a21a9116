"""`explain PLAN_ID`: the answer to a plan, or why it has none; `explain SYMBOL`: its case."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec
from redis.exceptions import RedisError

from brain.identifiers import PlanId, Symbol
from commands.clients.redis_reading import RedisReading, reading
from commands.console.terminal import printable, show
from commands.explain.case_lookup import look_for_case, symbol_of_case
from commands.explain.case_view import case_view
from commands.explain.lookup import look_for, reservation_of
from commands.explain.view import explanation_view
from explanation.case import explain_case
from explanation.explaining import Explanation, explain_traces, symbol_of
from explanation.sections import sections_of

_JSON = msgspec.json.Encoder(decimal_format="number")


def explain(environ: Mapping[str, str], subject: str, *, as_json: bool) -> int:
    """Print the explanation of a plan or of a symbol's case; the exit code is 1 without a trace of it.

    The beginning of a plan id suffices where only one plan begins so, since log lines shorten ids. Raises
    SettingsError.
    """
    with reading(environ) as redis:
        try:
            symbol = symbol_of_case(subject, redis)
            if symbol is not None:
                return _explain_case(redis, symbol, as_json=as_json)
            return _explain(redis, PlanId(subject), as_json=as_json)
        except RedisError as error:
            print(f"position-state-brain: Redis at {redis.address}: {error}", file=sys.stderr)
            return 1


def _explain(redis: RedisReading, plan_id: PlanId, *, as_json: bool) -> int:
    traces = look_for(plan_id, redis)
    if not traces.found and len(traces.similar) == 1:
        traces = look_for(traces.similar[0], redis)
    if not traces.found:
        print(f"position-state-brain: {_not_found(plan_id, traces.similar, redis)}", file=sys.stderr)
        return 1
    symbol = symbol_of(traces)
    reservation = None if symbol is None else reservation_of(traces.plan_id, symbol, redis)
    _print(explain_traces(traces, reservation), as_json=as_json)
    return 0


def _explain_case(redis: RedisReading, symbol: Symbol, *, as_json: bool) -> int:
    explained = explain_case(look_for_case(symbol, redis))
    if as_json:
        print(_JSON.encode(explained).decode())
    else:
        show(case_view(explained))
    return 0


def _not_found(plan_id: PlanId, similar: tuple[PlanId, ...], redis: RedisReading) -> str:
    if similar:
        return f"several plans begin with {printable(plan_id)}, such as {', '.join(map(printable, similar))}"
    return (
        f"no trace of plan {printable(plan_id)} in {redis.keys.audit} or {redis.keys.plans} "
        f"of Redis at {redis.address}"
    )


def _print(explained: Explanation, *, as_json: bool) -> None:
    if as_json:
        print(_JSON.encode(explained).decode())
    else:
        show(explanation_view(sections_of(explained)))
