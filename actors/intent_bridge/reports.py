"""Log lines, metrics and state of the intent bridge. None of them waits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from decimal import Decimal

from structlog.typing import FilteringBoundLogger

from actors.intent_bridge.proposals import Proposal
from actors.intent_bridge.rules import BridgeActorRules
from brain.intents.answer import Answer
from brain.intents.intent import Lane
from brain.intents.stored import is_lockdown
from brain.numbers import plain
from channels import BridgeNow, Count, DropOldest, IntentOutcome, LatestValue, MetricEvent, Observe
from monitoring.service_log import LogLines

_PLAN_ID_SHOWN = 8
_MOST_RECENT = 20
#: Outcome of an intent that became a plan.
_PLANNED = "plan"


class BridgeReports:
    """A line for each answer, a few counts, and the state. Made once, so that a restarted bridge goes on."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        shown: LatestValue[BridgeNow],
        rules: BridgeActorRules,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._shown = shown
        self._rules = rules
        self._log = log
        self._outcomes = Counter[str]()
        self._recent: deque[IntentOutcome] = deque(maxlen=_MOST_RECENT)
        self._lockdown: bool | None = None

    def begun(self, tag: str) -> None:
        """Log the bridge's build, its streams and its rules."""
        rules = ", ".join(
            f"{name}={_shown(getattr(self._rules.rules, name))}"
            for name in self._rules.rules.__struct_fields__
        )
        lanes = ",".join(self._rules.lanes)
        self._log.info(f"Intent Bridge [{tag}] mode={self._rules.mode}, streams={lanes}, {rules}")
        self._show()

    def lockdown(self, mode: bytes | None) -> None:
        """Note `system:mode`, as last read; log a lockdown when it begins and when it ends."""
        before, self._lockdown = self._lockdown, is_lockdown(mode)
        if self._lockdown and not before:
            self._log.warning("Intent Bridge: LOCKDOWN, no entry becomes a plan")
        elif before and not self._lockdown:
            self._log.info("Intent Bridge: LOCKDOWN is over")

    def answered(self, lane: Lane, committed: Sequence[Proposal], seen: int, now_ms: int) -> None:
        """Report what was written together, at `now_ms` by Redis's clock.

        `seen`: intents that had been answered before.
        """
        lines: list[str] = []
        outcomes: Counter[str] = Counter({"seen": seen} if seen else {})
        eval_types, lags_ms = Counter[str](), Counter[int]()
        for proposal in committed:
            outcome = _outcome(lane, proposal, now_ms)
            outcomes[outcome.reason or _PLANNED] += 1
            if not outcome.reason:
                eval_types[outcome.eval_type] += 1
            if outcome.lag_ms is not None:
                lags_ms[outcome.lag_ms] += 1
            lines.append(_line(proposal, outcome, shadow=self._rules.shadow))
            self._recent.appendleft(outcome)
        if lines:
            self._log.info(LogLines(lines))
        for name, times in outcomes.items():
            self._metrics.send(Count("bridge_intents_total", (name,), times))
        for eval_type, times in eval_types.items():
            self._metrics.send(Count("bridge_plans_total", (eval_type,), times))
        for lag_ms, times in lags_ms.items():
            self._metrics.send(Observe("bridge_lag_seconds", lag_ms / 1000, times))
        self._outcomes.update(outcomes)
        self._show()

    def _show(self) -> None:
        self._shown.send(
            BridgeNow(
                streams=tuple(lane.value for lane in self._rules.lanes),
                outcomes=tuple(sorted(self._outcomes.items())),
                recent=tuple(self._recent),
                lockdown=self._lockdown,
            )
        )


def _outcome(lane: Lane, proposal: Proposal, now_ms: int) -> IntentOutcome:
    answer, entry = proposal.answer, proposal.pending.entry
    plan = answer.plan
    return IntentOutcome(
        entry_id=entry.id,
        stream=lane.value,
        symbol=proposal.pending.symbol,
        plan_id=answer.plan_id,
        reason=str(answer.reason),
        eval_type=answer.eval_type,
        side=plan.get("side", ""),
        quantity=plan.get("qty", ""),
        action=plan.get("action", ""),
        at_ms=now_ms,
        lag_ms=None if entry.published_ms is None else max(now_ms - entry.published_ms, 0),
    )


def _line(proposal: Proposal, outcome: IntentOutcome, *, shadow: bool) -> str:
    symbol = outcome.symbol or "unknown"
    if not outcome.reason:
        mode = " (shadow)" if shadow else ""
        return (
            f"{symbol}: PLAN {outcome.plan_id[:_PLAN_ID_SHOWN]} of intent {outcome.entry_id}{mode} "
            f"({outcome.action}, side={outcome.side}, qty={outcome.quantity}, eval_type={outcome.eval_type})"
        )
    return (
        f"{symbol}: NO PLAN of intent {outcome.entry_id} reason={outcome.reason} "
        f"context={_context(proposal.answer)}"
    )


def _context(answer: Answer) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in answer.details.items()) or "none"


def _shown(value: object) -> str:
    if value is None:
        return "off"
    return plain(value) if isinstance(value, Decimal) else str(value)
