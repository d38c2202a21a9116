from __future__ import annotations

from actors.decision_writing import Answer
from actors.recent_decisions import RecentDecisions
from brain.decision import decide
from tests.brain.cases import case


def answer(plan_id: str, entry_id: str = "1790000000000-0") -> Answer:
    return Answer(entry_id, plan_id, "BTCUSDT", decide(case()), case(), {})


def test_the_newest_come_first() -> None:
    recent = RecentDecisions()
    for number in range(5):
        recent.decided([(answer(f"plan-{number}"), 4)])
    assert [seen.answer.plan_id for seen in recent.newest(3)] == ["plan-4", "plan-3", "plan-2"]


def test_a_decision_is_found_while_it_is_remembered_and_memory_does_not_grow() -> None:
    recent = RecentDecisions()
    for number in range(501):
        recent.decided([(answer(f"plan-{number}"), 4)])
    assert len(recent.newest(10_000)) == 500
    assert recent.of("plan-0") is None
    found = recent.of("plan-1")
    assert found is not None and found.answer.plan_id == "plan-1"


def test_times_are_those_of_redis() -> None:
    recent = RecentDecisions()
    recent.decided([(answer("plan-1", "1790000000123-7"), 4)])
    (seen,) = recent.newest(1)
    assert (seen.published_ms, seen.decided_ms) == (1_790_000_000_123, 1_790_000_000_127)
