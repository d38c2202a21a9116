"""The executor's dry run beside the executor that acts: orders of the same plans."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from brain.moment import iso_utc
from commands.clients.redis_reading import RedisReading
from commands.compare.governor import results_by_plan, texts_by_plan
from commands.compare.options import CompareOptions, first_ms
from explanation.comparison import Comparison, compared
from explanation.executor_evidence import ExecutorEvidence, compared_executions
from explanation.timeline import Dated
from store.keys import ExecutorKeys

#: An executor that waits for permits and for an order's answer has published its result within so long (ms).
_OVER_MS = 15_000
#: Results are searched from so long before the oldest dry run: the other executor may have been faster (ms).
_EARLIER_MS = 15_000


def compare_executor(redis: RedisReading, options: CompareOptions) -> Comparison:
    """Compare the dry runs. Raises redis.exceptions.RedisError."""
    keys = ExecutorKeys(redis.keys)
    every = options.of_the_time(redis, keys.dry_run)
    ours = list(islice(_once(every), options.last))
    if not ours:
        return compared("executor", ())
    results = results_by_plan(redis, max(ours[-1].at_ms - _EARLIER_MS, 0))
    plan_ids = [each.fields.get("plan_id", "") for each in ours]
    consumed = texts_by_plan(redis, plan_ids, redis.keys.permit_consumer)
    begins_ms, now_ms = first_ms(redis, redis.keys.results), redis.now_ms()
    return compared(
        "executor",
        [
            compared_executions(
                plan_id,
                each.fields.get("symbol", ""),
                iso_utc(each.at_ms),
                each.fields,
                ExecutorEvidence(
                    results=tuple(results.get(plan_id, ())),
                    consumed_by=consumed.get(plan_id),
                    over=now_ms - each.at_ms > _OVER_MS,
                    trimmed=begins_ms is not None and begins_ms > each.at_ms,
                ),
            )
            for each, plan_id in zip(ours, plan_ids, strict=True)
        ],
    )


def _once(entries: Iterator[Dated]) -> Iterator[Dated]:
    """Yield the newest dry run of each plan that asked for an order."""
    seen: set[str] = set()
    for each in entries:
        plan_id = each.fields.get("plan_id", "")
        if plan_id not in seen and each.fields.get("decision") in ("EXECUTE", "RECONCILE_CLOSE"):
            seen.add(plan_id)
            yield each
