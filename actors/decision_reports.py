"""What the evaluator tells the world of its decisions: one log line each, and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from structlog.typing import FilteringBoundLogger

from actors.decision_writing import Answer
from actors.gate_distribution import GateDistribution
from brain.numbers import plain
from brain.permit import Kind
from brain.plan import Plan, SkippedPlan
from brain.symbol_rules import SymbolRules
from channels import Count, DropOldest, LatestValue, MetricEvent, Observe

_PLAN_ID_SHOWN = 8
#: The decisions that publishers are known to send and that ask for nothing.
_SKIPPING = frozenset({"SKIP", "BLOCKED", "HOLD", "ERROR", "HALT"})


def symbol_label(symbol: str | None, rules: Mapping[str, SymbolRules] | None) -> str:
    """The symbol as a metric label: itself if the exchange knows it, else `other`."""
    return symbol if symbol is not None and rules is not None and symbol in rules else "other"


class DecisionReports:
    """Writes the lines that operators grep for, and counts; never waits."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        gates: GateDistribution,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._gates = gates
        self._symbol_rules = symbol_rules
        self._log = log

    def decided(self, answer: Answer, latency_ms: int) -> None:
        """`answer` was committed, `latency_ms` after its plan was published (Redis's clock)."""
        decision, case = answer.decision, answer.case
        self._gates.decided(decision)
        plan = answer.plan_id[:_PLAN_ID_SHOWN]
        symbol = answer.symbol or "-"
        amount = "unknown"
        if case is not None and case.snapshot is not None:
            legs = (row.amount for row in case.snapshot.legs if row.leg is decision.leg)
            amount = next((plain(leg) for leg in legs), "unknown")
        if not decision.allow:
            context = ",".join(f"{name}={_shown(value)}" for name, value in decision.details.items())
            self._log.info(f"{symbol}: P3.3 DENY plan {plan} reason={decision.reason} context={context}")
        elif decision.kind in (Kind.OPEN, Kind.ADD):
            self._log.info(f"{symbol}: P3.3 ALLOW OPEN plan {plan} (exchange_amt={amount}, reduceOnly=false)")
        else:
            self._log.info(
                f"{symbol}: P3.3 ALLOW plan {plan} "
                f"(safe_qty={plain(decision.quantity)}, exchange_amt={amount})"
            )
        for warning in decision.warnings:
            self._log.warning(f"{symbol}: {warning}", plan_id=answer.plan_id)
        label = symbol_label(answer.symbol, self._symbol_rules.value)
        send = self._metrics.send
        send(Count("p33_permit_total", (label, "allow" if decision.allow else "deny")))
        if decision.allow:
            send(Count("p33_permit_allow_total", (label,)))
        else:
            send(Count("p33_permit_deny_total", (label, decision.reason)))
        send(Observe("p33_decision_latency_seconds", max(latency_ms, 0) / 1000))

    def evaluated(self, plans: int, seconds: float) -> None:
        """`plans` decisions were made, in memory, within `seconds` in all."""
        for _ in range(plans):
            self._metrics.send(Observe("p33_evaluation_duration_seconds", seconds / plans))

    def skipped(self, plan: SkippedPlan) -> None:
        """A plan asked for no permit."""
        label = plan.decision if plan.decision in _SKIPPING else "other"
        self._metrics.send(Count("p33_plans_skipped_total", (label,)))

    def buried(self, entry_id: str, error: str) -> None:
        """An entry went to the dead-letter stream."""
        self._metrics.send(Count("p33_dead_letters_total", ("apply.plan",)))
        self._log.warning("Plan entry set aside", entry_id=entry_id, error=error)

    def missed_snapshot(self, plan: Plan, *, enabled: bool, attempted: bool) -> None:
        """A decision found no snapshot that it could rest on."""
        self._log.info(
            f"P3.3_SNAPSHOT_MISS symbol={plan.symbol} plan={plan.plan_id[:_PLAN_ID_SHOWN]} "
            f"ondemand_enabled={str(enabled).lower()} attempted={str(attempted).lower()}"
        )

    def read_on_demand(self, plan: Plan, why_not: str | None) -> None:
        """A position was read for one decision, or could not be (`why_not`)."""
        if why_not is None:
            self._metrics.send(Count("p33_ondemand_snapshots_total"))
            self._log.info(f"{plan.symbol}: On-demand snapshot (missing during permit check)")
        else:
            self._log.warning(f"{plan.symbol}: on-demand read failed", error=why_not)


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)
