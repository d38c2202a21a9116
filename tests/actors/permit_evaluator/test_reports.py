"""Decisions that were committed together are reported together: a line each, and an event a series."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import structlog
from structlog.testing import capture_logs

from actors.permit_evaluator.reports import DecisionReports
from brain.decisions.answer import Answer
from brain.decisions.case import Case
from brain.decisions.decision import decide
from brain.identifiers import EntryId, PlanId, Symbol
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, DropOldest, LatestValue, MetricEvent, Observe
from clock import TrioClock
from monitoring.gate_distribution import GateCounts, GateDistribution
from monitoring.recent_decisions import RecentDecision, RecentDecisions
from monitoring.service_log import LogLines
from tests.brain.cases import BTCUSDT, NOW_MS, case, entry
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def decided(
    latency_ms: int | None, plan_id: str, its_case: Case, symbol: str = "BTCUSDT", warning: str = ""
) -> RecentDecision:
    decision = decide(its_case)
    if warning:
        decision = msgspec.structs.replace(decision, warnings=(warning,))
    answer = Answer(EntryId("1790000000000-0"), PlanId(plan_id), Symbol(symbol), decision, its_case, {})
    return RecentDecision(answer, NOW_MS, None if latency_ms is None else NOW_MS - latency_ms)


async def test_a_batch_is_one_log_call_and_one_event_for_each_series() -> None:
    metrics: DropOldest[MetricEvent] = DropOldest("metrics", 100)
    rules: LatestValue[Mapping[str, SymbolRules]] = LatestValue("symbol_rules")
    rules.send({"BTCUSDT": BTCUSDT})
    gates, recent = GateDistribution(TrioClock(NOW_MS)), RecentDecisions()
    reports = DecisionReports(metrics, rules, gates, recent, structlog.get_logger())
    batch = [
        decided(4, "close-0001", case()),
        decided(4, "close-0002", case()),
        decided(5, "open-00001", case(entry(), "0"), "ETHUSDT", "its clock is ahead"),
        decided(None, "nothing-01", case(amount="0")),
    ]
    with capture_logs() as logged:
        reports.decided(batch)
    lines = [
        "BTCUSDT: P3.3 ALLOW plan close-00 (safe_qty=0.028, exchange_amt=0.038)",
        "BTCUSDT: P3.3 ALLOW plan close-00 (safe_qty=0.028, exchange_amt=0.038)",
        "ETHUSDT: P3.3 ALLOW OPEN plan open-000 (exchange_amt=0, reduceOnly=false)",
    ]
    assert [(line["log_level"], line["event"]) for line in logged[:2]] == [
        ("info", "\n".join(lines)),
        ("warning", "ETHUSDT: its clock is ahead"),
    ]
    together = logged[0]["event"]
    assert isinstance(together, LogLines)
    assert together.messages == tuple(lines)
    assert logged[2]["event"].startswith("BTCUSDT: P3.3 DENY plan nothing- reason=no_position context=")
    assert len(logged) == 3
    assert await metrics.receive_all() == [
        Count("p33_permit_total", ("BTCUSDT", "allow"), 2),
        Count("p33_permit_allow_total", ("BTCUSDT",), 2),
        Count("p33_permit_total", ("other", "allow"), 1),
        Count("p33_permit_allow_total", ("other",), 1),
        Count("p33_permit_total", ("BTCUSDT", "deny"), 1),
        Count("p33_permit_deny_total", ("BTCUSDT", "no_position"), 1),
        Observe("p33_decision_latency_seconds", 0.004, 2),
        Observe("p33_decision_latency_seconds", 0.005, 1),
    ]
    reasons = {"sanity_checks_passed": 2, "open_permit_granted": 1}
    assert gates.since_start() == GateCounts(3, 1, reasons, {"no_position": 1})
    assert [seen.answer.plan_id for seen in recent.newest(4)] == [
        "nothing-01", "open-00001", "close-0002", "close-0001",
    ]  # fmt: skip


async def test_many_evaluations_are_one_event() -> None:
    metrics: DropOldest[MetricEvent] = DropOldest("metrics", 100)
    reports = DecisionReports(
        metrics,
        LatestValue("symbol_rules"),
        GateDistribution(TrioClock(NOW_MS)),
        RecentDecisions(),
        structlog.get_logger(),
    )
    reports.evaluated(4, 0.002)
    assert await metrics.receive_all() == [Observe("p33_evaluation_duration_seconds", 0.0005, 4)]


async def test_a_cooldown_key_that_cannot_be_read_is_a_warning_once_until_it_changes() -> None:
    metrics: DropOldest[MetricEvent] = DropOldest("metrics", 100)
    rules: LatestValue[Mapping[str, SymbolRules]] = LatestValue("symbol_rules")
    gates, recent = GateDistribution(TrioClock(NOW_MS)), RecentDecisions()
    reports = DecisionReports(metrics, rules, gates, recent, structlog.get_logger())
    with capture_logs() as logged:
        for stored in ("soon", "soon", "", "", "soon"):
            reports.decided([decided(1, "p", case(cooldown_text=stored))])
    warnings = [line for line in logged if line["log_level"] == "warning"]
    assert [line["stored"] for line in warnings] == ["'soon'", "''", "'soon'"]
    assert {line["key"] for line in warnings} == {"quantum:cooldown:last_exec_ts:BTCUSDT"}
    assert "cooldown key cannot be read" in warnings[0]["event"]
