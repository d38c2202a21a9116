from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from brain.decisions.answer import Answer
from brain.decisions.decision import decide
from brain.identifiers import EntryId, PlanId, Symbol
from monitoring.recent_decisions import RecentDecision, RecentDecisions
from tests.brain.cases import case

PUBLISHED_MS = 1_790_000_000_123


def decision(plan_id: str, published_ms: int | None = PUBLISHED_MS, source: bytes = b"") -> RecentDecision:
    answer = Answer(
        EntryId("1790000000123-7"),
        PlanId(plan_id),
        Symbol("BTCUSDT"),
        decide(case()),
        case(),
        {b"source": source},
    )
    return RecentDecision(answer, 1_790_000_000_127, published_ms)


async def test_a_reader_waits_for_the_decisions_after_those_that_it_has() -> None:
    recent, received = RecentDecisions(), dict[int, list[str]]()

    async def receive(total: int) -> None:
        received[total] = [each.answer.plan_id for each in await recent.after(total)]

    async with trio.open_nursery() as nursery:
        for total in (0, 2, 3):
            nursery.start_soon(receive, total)
        for batch in (["a", "b"], ["c"]):
            await wait_all_tasks_blocked()
            recent.decided([decision(plan_id) for plan_id in batch])
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert received == {0: ["b", "a"], 2: ["c"]}


def test_the_newest_come_first() -> None:
    recent = RecentDecisions()
    for number in range(5):
        recent.decided([decision(f"plan-{number}")])
    assert [seen.answer.plan_id for seen in recent.newest(3)] == ["plan-4", "plan-3", "plan-2"]


def test_a_decision_is_found_while_it_is_remembered_and_memory_does_not_grow() -> None:
    recent = RecentDecisions()
    for number in range(501):
        recent.decided([decision(f"plan-{number}")])
    assert len(recent.newest(10_000)) == 500
    assert recent.of(PlanId("plan-0")) is None
    found = recent.of(PlanId("plan-1"))
    assert found is not None and found.answer.plan_id == "plan-1"


def test_a_plans_wait_is_known_only_where_its_publication_is() -> None:
    assert decision("plan-1").latency_ms == 4
    assert decision("plan-1", published_ms=None).latency_ms is None
    assert decision("plan-1", published_ms=1_790_000_000_128).latency_ms == 0
