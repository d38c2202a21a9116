"""Log lines and metrics of decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from structlog.typing import FilteringBoundLogger

from brain.decisions.answer import Answer
from brain.identifiers import EntryId
from brain.numbers import plain
from brain.plans.permit import Details, Kind
from brain.plans.plan import Plan, SkippedPlan
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, DropOldest, LatestValue, MetricEvent, Observe
from monitoring.gate_distribution import GateDistribution
from monitoring.recent_decisions import RecentDecision, RecentDecisions
from monitoring.service_log import LogLines

_PLAN_ID_SHOWN = 8
_MOST_WARNED = 1_000
#: The decisions that publishers are known to send and that ask for nothing.
_SKIPPING = frozenset({"SKIP", "BLOCKED", "HOLD", "ERROR", "HALT"})


def symbol_label(symbol: str | None, rules: Mapping[str, SymbolRules] | None) -> str:
    """Return the symbol as a metric label: itself if the exchange lists it, else `other`."""
    return symbol if symbol is not None and rules is not None and symbol in rules else "other"


class DecisionReports:
    """Writes one log line a decision, which operators grep for, and counts. Never waits."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        gates: GateDistribution,
        recent: RecentDecisions,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._gates = gates
        self._recent = recent
        self._symbol_rules = symbol_rules
        self._log = log
        #: By symbol: the unreadable text of its cooldown key that was reported.
        self._unreadable: dict[str, object] = {}

    def decided(self, decided: Sequence[RecentDecision]) -> None:
        """Report answers that were committed together."""
        self._gates.decided([each.answer.decision for each in decided])
        self._recent.decided(decided)
        lines: list[str] = []
        for each in decided:
            answer = each.answer
            lines.append(_line(answer))
            if "stored" in answer.decision.details:
                self._warn_of_unreadable_key(answer.symbol or "-", answer.decision.details)
            if answer.decision.warnings:
                self._write(lines)
                for warning in answer.decision.warnings:
                    self._log.warning(f"{answer.symbol or '-'}: {warning}", plan_id=answer.plan_id)
        self._write(lines)
        self._count(decided)

    def _warn_of_unreadable_key(self, symbol: str, details: Details) -> None:
        """Log once that plans of a symbol are denied until its cooldown key is corrected."""
        stored = details["stored"]
        if self._unreadable.get(symbol) == stored:
            return
        if len(self._unreadable) >= _MOST_WARNED:
            self._unreadable.clear()
        self._unreadable[symbol] = stored
        self._log.warning(
            f"{symbol}: plans are denied, the cooldown key cannot be read: delete it or set it to epoch ms",
            key=details["key"],
            stored=stored,
        )

    def evaluated(self, plans: int, seconds: float) -> None:
        """Count `plans` decisions, made in memory within `seconds` in all."""
        self._metrics.send(Observe("p33_evaluation_duration_seconds", seconds / plans, plans))

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._log.info(LogLines(lines))
            lines.clear()

    def _count(self, decided: Sequence[RecentDecision]) -> None:
        """Send one event a series."""
        counts: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
        latencies_ms: dict[int, int] = defaultdict(int)
        rules = self._symbol_rules.value
        for each in decided:
            answer, latency_ms = each.answer, each.latency_ms
            label = symbol_label(answer.symbol, rules)
            if answer.decision.allow:
                counts["p33_permit_total", (label, "allow")] += 1
                counts["p33_permit_allow_total", (label,)] += 1
            else:
                counts["p33_permit_total", (label, "deny")] += 1
                counts["p33_permit_deny_total", (label, answer.decision.reason)] += 1
            if latency_ms is not None:
                latencies_ms[latency_ms] += 1
        send = self._metrics.send
        for (name, labels), count in counts.items():
            send(Count(name, labels, count))
        for latency_ms, times in latencies_ms.items():
            send(Observe("p33_decision_latency_seconds", latency_ms / 1000, times))

    def skipped(self, plan: SkippedPlan) -> None:
        """Count a plan that asks for no permit."""
        label = plan.decision if plan.decision in _SKIPPING else "other"
        self._metrics.send(Count("p33_plans_skipped_total", (label,)))

    def dead_letter(self, entry_id: EntryId, error: str) -> None:
        """Report an entry that went to the dead-letter stream."""
        self._metrics.send(Count("p33_dead_letters_total", ("apply.plan",)))
        self._log.warning("Plan entry made a dead letter", entry_id=entry_id, error=error)

    def missed_snapshot(self, plan: Plan, *, enabled: bool, attempted: bool) -> None:
        """Report a decision without a usable snapshot."""
        self._log.info(
            f"P3.3_SNAPSHOT_MISS symbol={plan.symbol} plan={plan.plan_id[:_PLAN_ID_SHOWN]} "
            f"ondemand_enabled={str(enabled).lower()} attempted={str(attempted).lower()}"
        )

    def read_on_demand(self, plan: Plan, why_not: str | None) -> None:
        """Report a position read for one decision, or the reason why it failed (`why_not`)."""
        if why_not is None:
            self._metrics.send(Count("p33_ondemand_snapshots_total"))
            self._log.info(f"{plan.symbol}: On-demand snapshot (missing during permit check)")
        else:
            self._log.warning(f"{plan.symbol}: on-demand read failed", error=why_not)

    def no_ledger(self, plan: Plan) -> None:
        """Report a decision without a ledger, where none was adopted in time."""
        self._log.warning(f"{plan.symbol}: no ledger, and none was adopted in time", plan_id=plan.plan_id)


def _line(answer: Answer) -> str:
    """Format the log line of a decision."""
    decision, case = answer.decision, answer.case
    plan, symbol = answer.plan_id[:_PLAN_ID_SHOWN], answer.symbol or "-"
    if not decision.allow:
        context = ",".join([f"{name}={_shown(value)}" for name, value in decision.details.items()])
        return f"{symbol}: P3.3 DENY plan {plan} reason={decision.reason} context={context}"
    amount = "unknown"
    if case is not None and case.snapshot is not None:
        for row in case.snapshot.legs:
            if row.leg is decision.leg:
                amount = plain(row.amount)
                break
    if decision.kind in (Kind.OPEN, Kind.ADD):
        return f"{symbol}: P3.3 ALLOW OPEN plan {plan} (exchange_amt={amount}, reduceOnly=false)"
    return f"{symbol}: P3.3 ALLOW plan {plan} (safe_qty={plain(decision.quantity)}, exchange_amt={amount})"


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)
