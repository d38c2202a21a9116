"""Log lines, metrics and counts of the executor. None of them waits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from actors.executor.plans import GrantedPlan, PlanInHand, RefusedPlan
from brain.execution.orders import Accepted, NotSent, OrderOutcome, Refused
from brain.execution.progress import was_seen
from brain.execution.record import OrderRecord
from brain.identifiers import PlanId
from brain.numbers import plain
from brain.plans.plan import PlanDecision
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, DropOldest, LatestValue, MetricEvent, Observe, SetGauge
from clocks.clocks import Clocks

_PLAN_ID_SHOWN = 8
_GOVERNOR_DENIES = re.compile(r"permit_denied \(Governor: ([a-z0-9_]+)")
_REASON = re.compile(r"[a-z0-9_]+")
_DECISIONS = frozenset({"EXECUTE", "RECONCILE_CLOSE", "SKIP", "BLOCKED", "HOLD", "ERROR", "HALT"})


class ExecutorReports:
    """One line and a few counts for each step of a plan."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._symbol_rules = symbol_rules
        self._clocks = clocks
        self._log = log
        self._counts: Counter[str] = Counter()
        self._counts_error = ""

    def take_counts(self) -> dict[str, int]:
        """Return the counts of `metrics:intent_executor` since they were taken last."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def put_back(self, counts: Mapping[str, int], error: Exception) -> None:
        """Keep counts that could not be written, and log the error once."""
        self._counts.update(counts)
        if str(error) != self._counts_error:
            self._counts_error = str(error)
            self._log.warning("The executor's counts cannot be written", error=self._counts_error)

    def processed(self, decision: str, *, manual: bool) -> None:
        """Count a plan that was read."""
        self._counts["processed"] += 1
        if manual:
            self._counts["manual_consumed"] += 1
        self._send(Count("apply_plan_processed_total", (decision if decision in _DECISIONS else "other",)))

    def skipped(self, plan_id: PlanId, symbol: str, decision: str, error: str) -> None:
        """Report a plan that asks for no order."""
        self._counts["p35_guard_blocked"] += 1
        self._counts["executed_false"] += 1
        self._log.info(
            f"P3.5_GUARD decision={decision} plan_id={plan_id[:_PLAN_ID_SHOWN]} symbol={symbol or '-'} "
            f"reason={error}"
        )

    def granted(self, granted: GrantedPlan) -> None:
        """Report the end of a wait with all permits."""
        in_hand = granted.in_hand
        self._send(Observe("permit_wait_ms", granted.waited_ms))
        self._log.info(
            f"[PERMIT_WAIT] OK plan={in_hand.plan_id[:_PLAN_ID_SHOWN]} symbol={in_hand.symbol} "
            f"wait_ms={granted.waited_ms} safe_qty={plain(granted.terms.safe_quantity)}"
        )

    def refused(self, in_hand: PlanInHand, refused: RefusedPlan) -> None:
        """Report a plan that ends without a request to the exchange."""
        error = refused.error
        self._counts["executed_false"] += 1
        if error.startswith("source_not_allowed"):
            self._counts["blocked_source"] += 1
        self._log.info(
            f"[PERMIT_WAIT] BLOCK plan={in_hand.plan_id[:_PLAN_ID_SHOWN]} symbol={in_hand.symbol} "
            f"reason={error}"
        )
        if found := _GOVERNOR_DENIES.match(error):
            self._send(Count("governor_block_total", (found[1],)))
        if in_hand.decision is PlanDecision.RECONCILE_CLOSE:
            self._reconcile_rejected(in_hand, error)

    def begun(self, granted: GrantedPlan, record: OrderRecord, published_ms: int) -> None:
        """Report a record whose permits are consumed."""
        self._send(
            Observe(
                "exec_plan_to_order_seconds",
                max(self._clocks.redis_now_ms() - published_ms, 0) / 1000,
            )
        )
        if granted.in_hand.decision is PlanDecision.RECONCILE_CLOSE:
            self._send(Count("reconcile_close_consumed_total", (self._label(record.symbol),)))
            self._audit_reconcile_close(record, "consumed")

    def answered(self, record: OrderRecord, outcome: OrderOutcome, seconds: float) -> None:
        """Report the answer to an order's request."""
        label = self._label(record.symbol)
        match outcome:
            case Accepted():
                word = "accepted"
            case NotSent():
                word = "not_sent"
            case Refused(error, message):
                word = "refused"
                self._log.warning(
                    f"{record.symbol}: order refused", plan_id=record.plan_id, error=error, message=message
                )
            case _:
                word = "unknown"
        self._send(Count("exec_orders_total", (label, word)))
        self._send(Count("quantum_apply_execute_total", (label, record.kind, word)))
        self._send(Observe("exec_order_latency_seconds", seconds))

    def unknown(self, record: OrderRecord, why: str) -> None:
        """Report an order of which it is not known whether there is one."""
        self._log.warning(
            f"{record.symbol}: EXECUTION UNKNOWN plan {record.plan_id[:_PLAN_ID_SHOWN]} "
            f"client_order_id={record.client_order_id}",
            why=why,
        )

    def published(self, record: OrderRecord, *, latency_ms: int | None) -> None:
        """Report a result that was written for an order's record."""
        seen = was_seen(record)
        self._counts["executed_true" if seen else "executed_false"] += 1
        status = record.status if seen else "refused"
        label = self._label(record.symbol)
        self._log.info(
            f"{record.symbol}: ORDER {status if seen else record.error} "
            f"plan {record.plan_id[:_PLAN_ID_SHOWN]} "
            f"order_id={record.order_id or '-'} filled={plain(record.cumulative)}",
            latency_ms=latency_ms,
        )
        if not record.phase.ended:
            return
        self._send(Count("apply_executed_total", (status,)))
        if seen:
            now_sec = self._clocks.now().wall_ms / 1000
            self._send(SetGauge("quantum_apply_last_success_epoch", now_sec, (label,)))
        if record.decision == PlanDecision.RECONCILE_CLOSE:
            self._send(Count("reconcile_close_executed_total", (label, status)))
            self._audit_reconcile_close(record, status if seen else record.error)

    def orphan(self, record: OrderRecord) -> None:
        """Report an order of ours that has no record."""
        self._send(Count("exec_orphans_total"))
        self._log.error(
            f"{record.symbol}: ORPHAN ORDER client_order_id={record.client_order_id} "
            f"order_id={record.order_id or '-'} filled={plain(record.cumulative)}: the symbol is held"
        )

    def open_orders(self, orders: int, undecided: int, oldest_sec: float, counts: Mapping[str, int]) -> None:
        """Show what is open: records in hand, those that are undecided, and the age of the oldest of them."""
        self._send(SetGauge("exec_open_orders", orders))
        self._send(SetGauge("exec_unknown", undecided))
        self._send(SetGauge("exec_unknown_age_sec", oldest_sec))
        for interval, count in counts.items():
            self._send(SetGauge("exec_order_count", count, (interval,)))

    def _reconcile_rejected(self, in_hand: PlanInHand, error: str) -> None:
        label = self._label(in_hand.symbol)
        word = _REASON.match(error)
        self._send(Count("reconcile_close_rejected_total", (label, word[0] if word else "other")))
        if "guardrail_violation" in error:
            self._send(Count("reconcile_close_guardrail_fail_total", (label, "permit")))
        self._log.info(
            f"[RECONCILE_CLOSE_AUDIT] plan={in_hand.plan_id} symbol={in_hand.symbol} outcome={error}"
        )

    def _audit_reconcile_close(self, record: OrderRecord, outcome: str) -> None:
        self._log.info(
            f"[RECONCILE_CLOSE_AUDIT] plan={record.plan_id} symbol={record.symbol} side={record.side} "
            f"qty={plain(record.quantity)} outcome={outcome}"
        )

    def _label(self, symbol: str) -> str:
        rules = self._symbol_rules.value
        return symbol if rules is not None and symbol in rules else "other"

    def _send(self, event: MetricEvent) -> None:
        self._metrics.send(event)
