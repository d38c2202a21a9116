"""Kill scores that the page draws: the latest of the symbols that were judged last, and no more."""

from __future__ import annotations

from brain.identifiers import PlanId, Symbol
from monitoring.recent_judgements import JudgedAudit, JudgedPoint, RecentJudgements


def point(symbol: str, at_ms: int = 0) -> JudgedPoint:
    return JudgedPoint(
        plan_id=PlanId(f"{symbol}-{at_ms}"),
        symbol=Symbol(symbol),
        at_ms=at_ms,
        eval_type="entry",
        kill_score=0.3,
        z=None,
        cutoff=0.7,
        granted=True,
        reason="governor_granted",
    )


def test_the_symbol_with_the_most_points_comes_first_with_its_points_in_order() -> None:
    recent = RecentJudgements()
    recent.judged([point("C", 0), point("A", 1), point("B", 2)])
    recent.judged([point("A", 3)])
    assert [(symbol, [each.at_ms for each in points]) for symbol, points in recent.busiest(5)] == [
        ("A", [1, 3]),
        ("B", [2]),
        ("C", [0]),
    ]
    assert [symbol for symbol, _ in recent.busiest(1)] == ["A"]


def test_memory_is_bounded_whatever_is_judged() -> None:
    recent = RecentJudgements()
    recent.judged(point(f"S{number}", at_ms) for number in range(100) for at_ms in range(200))
    kept = recent.busiest(1000)
    assert {symbol for symbol, _ in kept} == {f"S{number}" for number in range(36, 100)}
    assert {tuple(each.at_ms for each in points) for _, points in kept} == {tuple(range(80, 200))}


def test_the_latest_500_audit_entries_are_found_by_their_plan() -> None:
    recent = RecentJudgements()
    for number in range(501):
        recent.audited(PlanId(f"plan-{number}"), JudgedAudit(number, ("granted", "true", "record", "{}")))
    assert recent.of(PlanId("plan-0")) is None
    audit = recent.of(PlanId("plan-500"))
    assert audit is not None
    assert (audit.at_ms, audit.text("record"), audit.text("shadow")) == (500, "{}", "")
