"""`explain PLAN_ID`: why a plan was answered as it was, or why it has no answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec
from redis.exceptions import RedisError

from brain.identifiers import PlanId
from commands.clients.redis_reading import RedisReading, reading
from commands.console.terminal import printable, show
from commands.explain.lookup import look_for, reservation_of
from commands.explain.view import explanation_view
from explanation.explaining import Explanation, explain_traces, symbol_of
from explanation.sections import sections_of

_JSON = msgspec.json.Encoder(decimal_format="number")


def explain(environ: Mapping[str, str], plan_id: str, *, as_json: bool) -> int:
    """Print the explanation; the exit code is 1 when there is no trace of the plan. Raises SettingsError.

    The beginning of a plan id suffices where only one plan begins so, since log lines shorten ids.
    """
    with reading(environ) as redis:
        try:
            return _explain(redis, PlanId(plan_id), as_json=as_json)
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
