"""`/decisions` over as many entries as the audit keeps, on a real Redis."""

from __future__ import annotations

import time

import pytest
import redis
import trio

import settings
from brain.decisions.decision import decide
from brain.decisions.permit_text import audit_record
from brain.identifiers import PlanId, Symbol
from channels import Channels
from clock import HostClock
from monitoring.find.audit_index import MOST_ROWS
from monitoring.find.pages import FindPages
from page.rendering import Page
from permit_gate.bridge import trio_asyncio
from store.keys import Keys
from store.redis.store import RedisStore
from tests.brain.cases import case, plan
from tests.monitoring.status_rig import ENVIRONMENT

pytestmark = pytest.mark.timing

LIMIT_SEC = 0.3
SYMBOLS = 5_000
QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"symbol": "S42USDT"},
    {"symbol": "S", "sort": "symbol", "page": "900"},
    {"reason": "reconcile", "order": "asc"},
    {"answer": "deny", "sort": "latency"},
    {"source": "har", "sort": "reason"},
    {"since": "-1h"},
    {"symbol": "S1", "reason": "san", "answer": "allow", "source": "h", "since": "-20d", "sort": "latency"},
)


def fill(url: str, count: int) -> str:
    """Write so many records of their real size; the id of a plan in the middle."""
    client = redis.Redis.from_url(url)
    pipeline = client.pipeline(transaction=False)
    decided = []
    for hold in (False, True):
        the_case = case(plan(plan_id="plan", symbol="SYMB"), hold=hold)
        fields = {"source": "harvest", **{f"k_{number}": "0.123456789" * 5 for number in range(20)}}
        decision = decide(the_case)
        record = audit_record(
            decision, the_case, plan_id=PlanId("plan"), symbol=Symbol("SYMB"), issued_by="x" * 40,
            fields=fields, permit=b"null",
        )  # fmt: skip
        decided.append((decision, record))
    begin_ms = int(time.time() * 1000) - count
    for number in range(count):
        decision, record = decided[number % 3 == 0]
        entry = {
            "plan_id": f"{number * 2654435761 % 2**32:08x}-{number}",
            "symbol": f"S{number * 7919 % SYMBOLS}USDT",
            "allow": "true" if decision.allow else "false",
            "reason": str(decision.reason),
            "entry_id": f"{begin_ms + number - number % 60}-0",
            "record": record,
        }
        pipeline.xadd("quantum:stream:permit.audit", entry, id=f"{begin_ms + number}-0")  # type: ignore[arg-type]
        if number % 1000 == 999:
            pipeline.execute()
    pipeline.execute()
    return f"{count // 2 * 2654435761 % 2**32:08x}-{count // 2}"


async def test_any_filter_over_all_entries_answers_within_300_ms(redis_server: str) -> None:
    plan_id = fill(redis_server, MOST_ROWS)
    async with trio_asyncio.open_loop():
        store = RedisStore(redis_server, keys=Keys("quantum"), consumer="x", timeout_sec=10)
        own = settings.load(ENVIRONMENT).settings
        find, page = FindPages(own, Channels(1), store, HostClock()), Page()
        requests = 0
        with trio.fail_after(60):
            while True:
                requests += 1
                _, content = await find.decisions.page({})
                if content.back_to_ms is None:
                    break
                assert content.held < MOST_ROWS
        assert requests > 1
        assert content.total == content.held == MOST_ROWS
        for query in QUERIES:
            begun = time.perf_counter()
            status, content = await find.decisions.page(query)
            document = "".join(page.document_of("find_decisions.html", content))
            taken_sec = time.perf_counter() - begun
            assert status == 200 and content.total > 0, query
            assert len(document) <= 300_000
            assert taken_sec <= LIMIT_SEC, query
        exported = await find.decisions.export({})
        assert sum([len(rows) async for rows in exported.slices()]) == MOST_ROWS
        begun = time.perf_counter()
        explained = await find.plans.page(PlanId(plan_id))
        assert explained.explained is not None and explained.notes == ()
        assert time.perf_counter() - begun <= 0.5
        assert await find.finding.find(plan_id[:8]) == f"/plans/{plan_id}"
        await store.close()
