"""Log lines, metrics and state of the reconcile engine. None of them waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import trio
from structlog.typing import FilteringBoundLogger

from actors.reconcile_engine.cases import Case, OpenCases
from actors.reconcile_engine.rules import ReconcileActorRules
from brain.identifiers import Symbol
from brain.numbers import EXACT, ZERO, plain
from brain.reconciliation import advice
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import Drift, DriftReason, drift_numbers
from brain.reconciliation.evidence import Growth
from brain.reconciliation.texts import in_words
from brain.reconciliation.weighing import causes_of
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, DropOldest, LatestValue, MetricEvent, Observe, OpenCase, ReconcileNow, SetGauge
from clocks.clocks import Clocks

_TITLES = {
    DriftReason.SIDE_MISMATCH: "SIDE MISMATCH",
    DriftReason.QTY_MISMATCH: "QTY MISMATCH",
    DriftReason.STALE_EXCHANGE: "STALE EXCHANGE",
    DriftReason.MISSING_EXCHANGE: "MISSING EXCHANGE",
    DriftReason.MISSING_LEDGER: "MISSING LEDGER",
}
#: A refusal of a symbol's keys is logged again after so long (seconds).
_LOG_AGAIN_SEC = 60.0
_MOST_REFUSED = 1_000


class ReconcileReports:
    """Reports of the reconcile engine."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        shown: LatestValue[ReconcileNow],
        rules: ReconcileActorRules,
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._symbol_rules = symbol_rules
        self._shown = shown
        self._rules = rules
        self._clocks = clocks
        self._log = log.bind(shadow=True) if rules.shadow else log
        #: Symbols with series of open cases.
        self._with_series: dict[str, None] = {}
        #: By symbol: time of the latest repair (Redis's clock, ms), and its signed sum (contracts).
        self._repaired: dict[Symbol, tuple[int, Decimal]] = {}
        self._refused_sec: dict[str, float] = {}

    def begun(self, tag: str) -> None:
        """Log the engine's build and settings."""
        settings = ", ".join(
            f"{name}={_shown(getattr(self._rules.rules, name))}"
            for name in self._rules.rules.__struct_fields__
        )
        self._log.info(f"P3.4 Reconcile [{tag}] mode={self._rules.mode}, {settings}")

    def drift(self, case: Case) -> None:
        """Log and count a drift, once."""
        numbers, label = drift_numbers(case.drift), self._label(case.symbol)
        ledger = "-" if numbers.ledger is None else plain(numbers.ledger)
        self._log.warning(
            f"{case.symbol}: {_TITLES[case.drift.reason]} - exchange={plain(numbers.exchange)} "
            f"ledger={ledger} diff={plain(numbers.difference)} ({plain(numbers.percent)}%)"
        )
        self._metrics.send(Count("p34_reconcile_drift_total", (label, case.drift.reason.value)))

    def hold_set(self, case: Case, ttl_sec: float) -> None:
        """Log a hold."""
        self._log.warning(f"{case.symbol}: HOLD set (reason={case.drift.reason.value}, TTL={ttl_sec:g}s)")

    def hold_cleared(self, case: Case) -> None:
        """Log the end of a hold."""
        self._log.info(f"{case.symbol}: HOLD cleared")

    def repaired(self, case: Case, drift: Drift, booked: Sequence[Growth], now_ms: int) -> None:
        """Log and count a repair; `now_ms`: Redis's clock."""
        moved = ZERO
        for growth in booked:
            moved = EXACT.add(moved, growth.signed)
        ledger = drift_numbers(drift).ledger or ZERO
        self._log.warning(
            f"{case.symbol}: AUTO-REPAIR - ledger {plain(ledger)} -> {plain(EXACT.add(ledger, moved))} "
            f"by {in_words(booked)}"
        )
        self._repaired[case.symbol] = now_ms, moved
        self._metrics.send(Count("p34_reconcile_auto_repair_total", (self._label(case.symbol),)))
        self._metrics.send(Observe("p34_repair_seconds", trio.current_time() - case.since_sec))

    def close_proposed(self, case: Case, plan_id: str, quantity: str) -> None:
        """Log and count a proposed close."""
        self._log.warning(f"{case.symbol}: RECONCILE_CLOSE proposed", plan_id=plan_id, qty=quantity)
        self._metrics.send(Count("p34_reconcile_close_published_total", (self._label(case.symbol),)))

    def looked(self, outcome: str) -> None:
        """Count a look at the evidence."""
        self._metrics.send(Count("p34_evidence_lookups_total", (outcome,)))

    def refused(self, symbol: Symbol, error: str) -> None:
        """Log what Redis refuses of a symbol, once a minute: an operator has to repair a key."""
        now_sec = trio.current_time()
        if now_sec - self._refused_sec.get(symbol, float("-inf")) < _LOG_AGAIN_SEC:
            return
        if len(self._refused_sec) >= _MOST_REFUSED:
            self._refused_sec.clear()
        self._refused_sec[symbol] = now_sec
        self._log.warning(f"{symbol}: Redis refuses a step of the reconcile engine", error=error)

    def state(self, cases: OpenCases, *, weight: int, compared: int) -> None:
        """Show the open cases."""
        settled, now_sec = cases.settled(), trio.current_time()
        self._shown.send(
            ReconcileNow(
                cases=tuple(self._open_case(case, now_sec) for case in settled),
                weight_1m=weight,
                weight_per_min=self._rules.rules.weight_per_min,
                compared=compared,
                repaired=tuple((symbol, at_ms, moved) for symbol, (at_ms, moved) in self._repaired.items()),
            )
        )
        by_label: dict[str, list[Case]] = {}
        for case in settled:
            by_label.setdefault(self._label(case.symbol), []).append(case)
        for label in {**self._with_series, **by_label}:
            self._gauges(label, by_label.get(label, ()), now_sec)
        self._with_series = dict.fromkeys(by_label)
        now_ms = self._clocks.redis_now_ms()
        fixed_ms: dict[str, int] = {}
        for symbol, (at_ms, _) in self._repaired.items():
            label = self._label(symbol)
            fixed_ms[label] = max(fixed_ms.get(label, 0), at_ms)
        for label, at_ms in fixed_ms.items():
            age_sec = max(now_ms - at_ms, 0) / 1000
            self._metrics.send(SetGauge("p34_reconcile_last_fix_age_sec", age_sec, (label,)))

    def ended(self, cases: OpenCases) -> None:
        """Show no case: another process has the lease, and knows them."""
        cases.clear()
        for label in self._with_series:
            self._gauges(label, (), trio.current_time())
        self._with_series = {}
        self._shown.withdraw()

    def _gauges(self, label: str, cases: Sequence[Case], now_sec: float) -> None:
        """Set the gauges to the worst of the cases that share a label: those of delisted symbols."""
        held_since = [each.held_since_sec for each in cases if each.own_sig]
        held_sec = max((now_sec - each for each in held_since if each is not None), default=0.0)
        differences = [drift_numbers(each.drift).difference for each in cases]
        for name, value in (
            ("p34_reconcile_hold_active", float(any(each.own_sig for each in cases))),
            ("p34_reconcile_diff_amt", float(max(differences, key=abs, default=ZERO))),
            ("p34_hold_seconds", held_sec),
            ("p34_manual_required", float(any(each.is_manual for each in cases))),
        ):
            self._metrics.send(SetGauge(name, value, (label,)))

    def _open_case(self, case: Case, now_sec: float) -> OpenCase:
        status = case.status or CaseStatus.DRIFT
        looks_again = case.drift.reason.compares and case.held_by is None and case.calm_since_sec is None
        return OpenCase(
            symbol=case.symbol,
            status=status.value,
            cause=",".join(causes_of(case.found)) if case.finding is not None else "",
            drift=case.drift,
            since_ms=case.since_ms,
            held=bool(case.own_sig),
            held_by=case.held_by,
            found=case.found,
            why=case.why or advice.problem_of(case.drift),
            advice=advice.advise(
                status, case.drift, case.finding, held_by=case.held_by, key_prefix=self._rules.key_prefix
            ),
            looks=case.looks,
            next_look_sec=max(case.next_look_sec - now_sec, 0.0) if looks_again else None,
        )

    def _label(self, symbol: str) -> str:
        rules = self._symbol_rules.value
        return symbol if rules is not None and symbol in rules else "other"


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return "+".join(sorted(value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return plain(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
