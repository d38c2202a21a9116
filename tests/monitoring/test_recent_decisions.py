from __future__ import annotations

import trio
from trio.testing import MockClock

from brain.decisions.answer import Answer
from brain.decisions.decision import decide
from monitoring.recent_decisions import RecentDecision, RecentDecisions
from tests.brain.cases import case


def decision(
    plan_id: str, published_ms: int | None = 1_790_000_000_123, *, source: bytes = b""
) -> RecentDecision:
    fields = {b"source": source}
    answer = Answer("1790000000123-7", plan_id, "BTCUSDT", decide(case()), case(), fields)
    return RecentDecision(answer, 1_790_000_000_127, published_ms)


async def test_each_decision_is_received_once_by_all_that_wait_and_a_late_reader_misses_the_oldest(
    autojump_clock: MockClock,
) -> None:
    recent, received = RecentDecisions(), dict[str, list[str]](a=[], b=[])

    async def receive(plan_ids: list[str]) -> None:
        total = 0
        while True:
            decided, total = await recent.after(total), recent.total
            plan_ids.extend(each.answer.plan_id for each in decided)

    async with trio.open_nursery() as nursery:
        for plan_ids in received.values():
            nursery.start_soon(receive, plan_ids)
        for batch in (["1", "2"], ["3"]):
            await trio.sleep(1)
            recent.decided([decision(plan_id) for plan_id in batch])
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert received == {"a": ["2", "1", "3"], "b": ["2", "1", "3"]}
    recent.decided([decision(f"plan-{number}") for number in range(501)])
    assert len(await recent.after(3)) == 500


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
    assert recent.of("plan-0") is None
    found = recent.of("plan-1")
    assert found is not None and found.answer.plan_id == "plan-1"


def test_how_long_a_plan_waited_is_known_only_where_its_publication_is() -> None:
    assert decision("plan-1").latency_ms == 4
    assert decision("plan-1", published_ms=None).latency_ms is None
    assert decision("plan-1", published_ms=1_790_000_000_128).latency_ms == 0
