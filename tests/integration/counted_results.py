"""Executors of others that publish results, and the counts of decision intelligence beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx
import trio

from brain.intelligence.windows import minute_of
from store.intelligence_keys import IntelligenceNames
from tests.integration.pipeline import RESULTS, Pipeline

NAMES = IntelligenceNames("quantum")
GROUP = NAMES.results.group
COUNTED_WITHIN_SEC = 30.0

#: Of the three dialects: what executors of others publish.
DIALECTS: tuple[dict[str, str], ...] = (
    {"decision": "EXECUTE", "executed": "False", "would_execute": "True", "steps_results": "[]",
     "error": "p33_permit_denied:no_position"},
    {"decision": "SKIP", "executed": "False", "steps_results": "[]", "reason_codes": '["dust"]'},
    {"action": "PARTIAL_50", "executed": "false", "reduceOnly": "true", "reason": "position_too_small"},
    {"event_type": "execution", "executed": "false", "source": "intent_executor",
     "details": '{"error": "APIError(code=-2019): Margin is insufficient."}'},
    {"event_type": "execution", "executed": "false", "decision": "HOLD", "details": "{"},
)  # fmt: skip


def publish(pipeline: Pipeline, number: int) -> None:
    """Publish one result of an executor that is not ours."""
    fields = DIALECTS[number % len(DIALECTS)]
    pipeline.publish_result({"plan_id": f"theirs-{number}", "symbol": "BTCUSDT", **fields})


@asynccontextmanager
async def load(pipeline: Pipeline, per_sec: float) -> AsyncIterator[None]:
    """Publish results until the end of the block."""

    async def publish_all() -> None:
        for number in count():
            publish(pipeline, number)
            await trio.sleep(1 / per_sec)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish_all)
        yield
        nursery.cancel_scope.cancel()


def published(pipeline: Pipeline, after: str = "-") -> Counter[str]:
    """Count the entries of `apply.result` by the minute of their id."""
    rows = pipeline.redis.xrange(RESULTS, min=after)
    return Counter(minute_of(int(entry_id.partition("-")[0])) for entry_id, _ in rows)


def bucket(pipeline: Pipeline, minute: str) -> dict[str, int]:
    stored = pipeline.redis.hgetall(NAMES.bucket(minute))
    return {field: int(value) for field, value in stored.items()}


def counted(pipeline: Pipeline, kind: str = "decision") -> Counter[str]:
    """Add up the counts of one kind by minute."""
    totals = Counter[str]()
    for key in pipeline.redis.scan_iter(NAMES.bucket("*")):
        minute = key.rpartition(":")[2]
        fields = bucket(pipeline, minute)
        totals[minute] = sum(number for field, number in fields.items() if field.startswith(f"{kind}:"))
    return totals


def group_exists(pipeline: Pipeline) -> bool:
    if not pipeline.redis.exists(RESULTS):
        return False
    return any(each["name"] == GROUP for each in pipeline.redis.xinfo_groups(RESULTS))


async def asked(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        return await client.get(path, timeout=10)


async def shown(url: str) -> dict[str, Any]:
    """Return decision intelligence in `/status`."""
    found: dict[str, Any] = (await asked(url, "/status")).json()["roles"]["p35"]
    return found
