"""Log lines and metrics of the Governor. None of them waits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from structlog.typing import FilteringBoundLogger

from actors.governor.proposals import Proposal
from actors.governor.rules import GovernorActorRules
from brain.execution.switches import TradingState
from brain.governor.case import GovernorCase
from brain.governor.efficiency import MISSING, efficiency_hint
from brain.governor.facts import is_entry
from brain.governor.inputs import enforced_target
from brain.governor.judgement import Judgement
from brain.governor.reasons import GovernorReason
from brain.identifiers import Symbol
from brain.numbers import plain
from brain.plans.plan import Plan
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, DropOldest, GovernorNow, LatestValue, MetricEvent, Observe, SetGauge
from monitoring.recent_judgements import JudgedAudit, JudgedPoint, RecentJudgements
from monitoring.service_log import LogLines

_PLAN_ID_SHOWN = 8
_P29_BLOCK = GovernorReason.P29_ALLOCATION_CAP


class GovernorReports:
    """Two lines for each judgement, and a few counts."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        recent: RecentJudgements,
        rules: GovernorActorRules,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._symbol_rules = symbol_rules
        self._recent = recent
        self._rules = rules
        self._log = log
        self._unreadable: tuple[str, ...] = ()
        self._gauges: dict[tuple[str, tuple[str, ...]], float] = {}
        #: Gauges of what may be unknown that have a number now.
        self._known: set[tuple[str, tuple[str, ...]]] = set()
        #: Quantity that closes of a symbol have been granted today, by symbol, and that day.
        self._reduced: tuple[str, dict[Symbol, Decimal]] = ("", {})

    def begun(self, tag: str) -> None:
        """Log the Governor's build and all limits."""
        limits = ", ".join(
            f"{name}={_shown(getattr(self._rules.rules, name))}"
            for name in self._rules.rules.__struct_fields__
        )
        self._log.info(f"P3.2 Governor [{tag}] mode={self._rules.mode}, {limits}")

    def judged(self, committed: Sequence[Proposal], now_ms: int) -> None:
        """Report what was written together, at `now_ms` by Redis's clock. Its gauges follow with `state`."""
        lines: list[str] = []
        counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        latencies_ms: Counter[int] = Counter()
        for proposal in committed:
            if proposal.judgement is None:
                continue
            self._recent.audited(proposal.governed.plan_id, JudgedAudit(now_ms, proposal.commit.audit))
            lines += self._lines(proposal, proposal.judgement)
            self._count(proposal, proposal.judgement, now_ms, counts)
            published_ms = proposal.governed.entry.published_ms
            if published_ms is not None:
                latencies_ms[max(now_ms - published_ms, 0)] += 1
        if lines:
            self._log.info(LogLines(lines))
        for proposal in committed:
            self._alarm(proposal)
        for (name, labels), count in counts.items():
            self._metrics.send(Count(name, labels, count))
        for latency_ms, times in latencies_ms.items():
            self._metrics.send(Observe("gov_decision_latency_seconds", latency_ms / 1000, times))
        self._recent.judged(_points(committed, now_ms))

    def expired(self, symbol: Symbol, plan_id: str) -> None:
        """Log a grant that ended without a word on it."""
        self._log.info(f"{symbol}: GRANT EXPIRED plan {plan_id[:_PLAN_ID_SHOWN]}: no result came in time")

    def unreadable(self, counts: tuple[str, ...]) -> None:
        """Log counts that cannot be read, when others than before."""
        if counts and counts != self._unreadable:
            self._log.warning("Counts cannot be read: nothing is opened by them", keys=", ".join(counts))
        self._unreadable = counts

    def state(self, now: GovernorNow, grants: int, ages_sec: Mapping[str, float]) -> None:
        """Show the state of the account."""
        self._gauge("gov_reserved_notional_usd", float(now.reserved_notional))
        for state in TradingState:
            self._gauge("gov_trading_state", float(state is now.trading_state), state.value)
        if now.equity is not None:
            self._gauge("gov_equity_usd", float(now.equity.equity))
        self._gauge("gov_live_grants", float(grants))
        self._gauges_or_none(
            {
                ("gov_drawdown", ()): now.drawdown,
                ("gov_heat", ()): now.heat,
                ("gov_open_positions", ()): now.symbols,
                ("gov_z_cutoff", ("ENTRY",)): now.z_entry,
                ("gov_z_cutoff", ("EXIT",)): now.z_exit,
            }
            | {("gov_input_age_sec", (name,)): age_sec for name, age_sec in ages_sec.items()}
        )
        self._send_gauges()

    def executions(self, symbol: Symbol, in_hour: int, in_5min: int) -> None:
        """Show the grants of a symbol, with the next state that is shown."""
        label = self._label(symbol)
        self._gauge("quantum_govern_exec_count_hour", in_hour, label)
        self._gauge("quantum_govern_exec_count_5min", in_5min, label)

    def _lines(self, proposal: Proposal, judgement: Judgement) -> tuple[str, str]:
        governed, case = proposal.governed, proposal.case
        symbol, plan_id = governed.symbol or "-", governed.plan_id[:_PLAN_ID_SHOWN]
        plan = governed.plan
        action = plan.action if isinstance(plan, Plan) else ""
        score = governed.score.value
        evaluating = (
            f"{symbol}: Evaluating plan {plan_id} (action={action or '-'}, decision=EXECUTE, "
            f"kill_score={'-' if score is None else f'{score:.3f}'}, mode={self._rules.mode})"
        )
        if not judgement.granted:
            return evaluating, f"{symbol}: BLOCKED plan {plan_id} - {judgement.reason}"
        hint = MISSING
        if case is not None and is_entry(case.kind):
            hint = efficiency_hint(case.neighbours.efficiency, self._rules.rules)
        notional = "-" if judgement.notional is None else f"{judgement.notional:.2f}"
        allowed = (
            f"{symbol}: ALLOW plan {plan_id} (qty={plain(judgement.quantity)}, notional=${notional}) "
            f"P3.1: action={hint.action} factor={hint.factor:.2f}"
        )
        return evaluating, allowed

    def _count(
        self,
        proposal: Proposal,
        judgement: Judgement,
        now_ms: int,
        counts: Counter[tuple[str, tuple[str, ...]]],
    ) -> None:
        label, case = self._label(proposal.governed.symbol), proposal.case
        if judgement.granted:
            counts["quantum_govern_allow_total", (label,)] += 1
        else:
            counts["quantum_govern_block_total", (label, judgement.reason)] += 1
        if judgement.disarms:
            counts["quantum_govern_disarm_total", (judgement.disarms,)] += 1
        if judgement.z is not None:
            self._gauge("gov_kill_z", judgement.z, label, judgement.eval_type)
        if case is None:
            return
        if not is_entry(case.kind):
            since_ms = judgement.exit_blocked_since_ms
            if since_ms is not None or case.counts.exit_blocked_since_ms is not None:
                blocked_sec = 0.0 if since_ms is None else (now_ms - since_ms) / 1000
                self._gauge("gov_exit_blocked_seconds", max(blocked_sec, 0.0), label)
            return
        hint = efficiency_hint(case.neighbours.efficiency, self._rules.rules)
        counts["p32_eff_apply_total", (hint.action, hint.reason)] += 1
        self._gauge("p32_eff_factor", hint.factor, label)
        _count_allocation(proposal, case, judgement, label, counts)
        if judgement.granted:
            seen = case.counts
            self.executions(case.plan.symbol, seen.granted_hour + 1, seen.granted_5min + 1)

    def _alarm(self, proposal: Proposal) -> None:
        """Log what an operator has to see: a disarm, a warning, more reduced than was expected of a day."""
        judgement, governed = proposal.judgement, proposal.governed
        if judgement is None:
            return
        if judgement.disarms:
            self._log.warning(f"AUTO-DISARM TRIGGERED: {judgement.disarms}", plan_id=governed.plan_id)
        for warning in judgement.warnings:
            self._log.warning(f"{governed.symbol or '-'}: {warning}", plan_id=governed.plan_id)
        granted = proposal.commit.granted
        if granted is not None and granted.reduced is not None and proposal.commit.basis is not None:
            self._reduces(proposal.commit.basis.date, governed.symbol, judgement.quantity, granted.reduced)

    def _reduces(self, date: str, symbol: Symbol | None, quantity: Decimal, notional: str) -> None:
        """Report a day's reduction above the settings; no close is stopped by it."""
        rules = self._rules
        if symbol is None or (rules.max_reduce_notional is None and rules.max_reduce_quantity is None):
            return
        if self._reduced[0] != date:
            self._reduced = date, {}
        reduced = self._reduced[1][symbol] = self._reduced[1].get(symbol, Decimal(0)) + quantity
        for name, value, limit in (
            ("notional", Decimal(notional), rules.max_reduce_notional),
            ("quantity", reduced, rules.max_reduce_quantity),
        ):
            if limit is not None and value > limit:
                self._metrics.send(Count("gov_reduced_over_limit_total", (self._label(symbol), name)))
                self._log.warning(
                    f"{symbol}: closes of today reduce more than expected, and go on",
                    what=name,
                    value=plain(value),
                    limit=plain(limit),
                )

    def _gauges_or_none(self, values: Mapping[tuple[str, tuple[str, ...]], float | None]) -> None:
        """Show what is known; what was known before is NaN from now on."""
        known = {series: float(value) for series, value in values.items() if value is not None}
        self._gauges |= dict.fromkeys(self._known - known.keys(), math.nan) | known
        self._known = set(known)

    def _gauge(self, name: str, value: float, *labels: str) -> None:
        self._gauges[name, labels] = value

    def _send_gauges(self) -> None:
        """Send the latest value of each series."""
        for (name, labels), value in self._gauges.items():
            self._metrics.send(SetGauge(name, value, labels))
        self._gauges.clear()

    def _label(self, symbol: str | None) -> str:
        rules = self._symbol_rules.value
        return symbol if symbol is not None and rules is not None and symbol in rules else "other"


def _count_allocation(
    proposal: Proposal,
    case: GovernorCase,
    judgement: Judgement,
    label: str,
    counts: Counter[tuple[str, tuple[str, ...]]],
) -> None:
    """Count the look at the symbol's allocation (P2.9)."""
    counts["gov_p29_checked_total", (label,)] += 1
    if judgement.reason == _P29_BLOCK:
        counts["gov_p29_block_total", ()] += 1
    basis = proposal.commit.basis
    if case.neighbours.target_usd is None and basis is not None:
        missing = all(text is None for text in basis.symbol.allocation)
        if missing:
            counts["gov_p29_missing_total", ()] += 1
        elif enforced_target(basis.symbol.allocation, case.now_ms).stale:
            counts["gov_p29_stale_total", ()] += 1


def _points(committed: Sequence[Proposal], now_ms: int) -> Iterator[JudgedPoint]:
    """Yield the judgements and observations of plans with a kill score."""
    for proposal in committed:
        governed, judgement = proposal.governed, proposal.judgement
        if governed.score.value is None or governed.symbol is None:
            continue
        stats = proposal.commit.stats
        if judgement is None:
            eval_type, granted, reason = (stats[0] if stats else "entry"), None, ""
        else:
            eval_type, granted, reason = judgement.eval_type.lower(), judgement.granted, judgement.reason
        yield JudgedPoint(
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            at_ms=now_ms,
            eval_type=eval_type,
            kill_score=governed.score.value,
            z=None if judgement is None else judgement.z,
            cutoff=None if judgement is None else judgement.cutoff,
            granted=granted,
            reason=str(reason),
        )


def _shown(value: object) -> str:
    if value is None:
        return "off"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        plain(value)
        if isinstance(value, Decimal)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
