"""Ends plans without an order: with a result, once, in `apply.result`, or in the stream of dry runs."""

from __future__ import annotations

from collections.abc import Sequence

from actors.executor.plans import GrantedPlan, PlanInHand, RefusedPlan, text_of
from actors.executor.reports import ExecutorReports
from actors.executor.rules import ExecutorRules
from brain.execution.draft_record import record_text
from brain.execution.drafting import Drafted, OrderDraft
from brain.execution.orders import client_order_id
from brain.execution.results import Outcome, result_fields
from brain.identifiers import EntryId, FencingToken, PlanId, is_symbol
from brain.plans.plan import SkippedPlan
from clocks.clocks import Clocks
from store.execution_protocol import ExecutorStore
from store.execution_records import PlanRefusal
from store.records import Entry


class PlanRefusals:
    """Part of the executor: writes the results of plans for which no permit was consumed."""

    def __init__(
        self, store: ExecutorStore, reports: ExecutorReports, *, clocks: Clocks, rules: ExecutorRules
    ) -> None:
        self._store = store
        self._reports = reports
        self._clocks = clocks
        self._rules = rules

    async def refuse(
        self,
        in_hand: PlanInHand,
        refused: RefusedPlan,
        fence: FencingToken,
        *,
        dead_fields: Sequence[str] = (),
    ) -> bool:
        """End a plan that asks for an order; with `dead_fields` it is a dead letter, too.

        False: it has a record already, and is acknowledged only where that is final.
        """
        outcome = self._outcome(
            in_hand.plan_id,
            in_hand.symbol,
            decision=text_of(in_hand.fields, b"decision") or in_hand.decision.value,
            action=in_hand.action,
            error=refused.error,
            waited_ms=refused.waited_ms,
        )
        record = () if refused.drafted is None else _recorded(refused.drafted)
        source = in_hand.source
        if await self._write(outcome, in_hand.stream, in_hand.entry_id, source, fence, dead_fields, record):
            self._reports.refused(in_hand, refused)
            return True
        return False

    async def skip(
        self,
        plan: SkippedPlan,
        entry: Entry,
        stream: str,
        error: str,
        fence: FencingToken,
        *,
        dead_fields: Sequence[str] = (),
    ) -> bool:
        """End a plan that asks for none; False as in `refuse`."""
        fields = entry.fields or {}
        symbol = text_of(fields, b"symbol")
        outcome = self._outcome(
            plan.plan_id,
            symbol if is_symbol(symbol) else None,
            decision=plan.decision,
            action=text_of(fields, b"action")[:64],
            error=error,
            waited_ms=None,
        )
        if await self._write(outcome, stream, entry.id, text_of(fields, b"source"), fence, dead_fields):
            self._reports.skipped(plan.plan_id, outcome.symbol or "", plan.decision, error)
            return True
        return False

    async def show_dry_run(
        self, granted: GrantedPlan, drafted: Drafted, draft: OrderDraft, fence: FencingToken
    ) -> None:
        """Publish the order that a granted plan would have got."""
        outcome = Outcome(
            plan_id=granted.in_hand.plan_id,
            symbol=granted.in_hand.symbol,
            executed=False,
            would_execute=True,
            published_sec=self._clocks.redis_now_ms() // 1000,
            instance=self._rules.instance,
            decision=granted.plan.decision.value,
            action=granted.plan.action,
            side=draft.side,
            kind=draft.kind.value,
            quantity=draft.quantity,
            reduce_only=draft.reduce_only,
            client_order_id=client_order_id(self._rules.gate.prefix, granted.plan.plan_id),
            safe_quantity=draft.permitted,
            waited_ms=granted.waited_ms,
        )
        in_hand, fields = granted.in_hand, (*result_fields(outcome), *_recorded(drafted))
        await self._store.publish_dry_run(fence, in_hand.stream, in_hand.entry_id, fields)
        self._reports.granted(granted)

    def _outcome(
        self,
        plan_id: PlanId,
        symbol: str | None,
        *,
        decision: str,
        action: str,
        error: str,
        waited_ms: int | None,
    ) -> Outcome:
        return Outcome(
            plan_id=plan_id,
            symbol=symbol if symbol and is_symbol(symbol) else None,
            executed=False,
            published_sec=self._clocks.redis_now_ms() // 1000,
            instance=self._rules.instance,
            decision=decision,
            action=action,
            error=error,
            waited_ms=waited_ms,
        )

    async def _write(
        self,
        outcome: Outcome,
        stream: str,
        entry_id: EntryId,
        source: str,
        fence: FencingToken,
        dead_fields: Sequence[str],
        record: tuple[str, ...] = (),
    ) -> bool:
        fields = result_fields(outcome)
        if self._rules.dry_run:
            await self._store.publish_dry_run(fence, stream, entry_id, (*fields, *record))
            return True
        refusal = PlanRefusal(
            plan_id=outcome.plan_id,
            stream=stream,
            entry_id=entry_id,
            result=fields,
            error=outcome.error,
            symbol=outcome.symbol or "",
            decision=outcome.decision,
            action=outcome.action,
            source=source[:64],
            instance=outcome.instance,
            dead_fields=dead_fields,
            audit=(
                "step", "refuse",
                "plan_id", outcome.plan_id,
                "symbol", outcome.symbol or "",
                "error", outcome.error,
                "waited_ms", "" if outcome.waited_ms is None else str(outcome.waited_ms),
                *record,
            ),
        )  # fmt: skip
        return await self._store.refuse_plan(fence, refusal)


def _recorded(drafted: Drafted) -> tuple[str, str]:
    return "record", record_text(drafted)
