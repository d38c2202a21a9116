"""Proposals to close what the exchange holds beyond the ledger (`P34_CLOSE=excess`)."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from actors.reconcile_engine.cases import Case
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from brain.execution.orders import client_order_id
from brain.identifiers import FencingToken, PlanId
from brain.numbers import plain
from brain.reconciliation.closing import (
    CLOSE_COOLDOWN_SEC,
    CLOSE_HOLD_SEC,
    close_cooldown_bucket,
    close_plan,
    excess_close,
    proves_excess,
)
from brain.reconciliation.texts import CaseEvent, event_fields, flat
from brain.reconciliation.weighing import causes_of
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue
from clocks.clocks import Clocks
from store.reconcile_protocol import ReconcileStore
from store.reconcile_records import CloseProposal


class CloseProposals:
    """Publishes a `RECONCILE_CLOSE` for a case that waits for a person, once in 120 s. It sends no order."""

    def __init__(
        self,
        store: ReconcileStore,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        rules: ReconcileActorRules,
        reports: ReconcileReports,
        *,
        clocks: Clocks,
    ) -> None:
        self._store = store
        self._symbol_rules = symbol_rules
        self._rules = rules
        self._reports = reports
        self._clocks = clocks

    async def consider(self, case: Case, fence: FencingToken) -> None:
        """Propose a close if the case has one to propose. Raises as the store does."""
        if self._rules.shadow or case.held_since_sec is None or not case.own_sig:
            return
        if case.finding is None or not proves_excess(case.finding):
            return
        close = excess_close(
            case.drift,
            causes_of(case.found),
            (self._symbol_rules.value or {}).get(case.symbol),
            self._rules.rules,
            held_sec=trio.current_time() - case.held_since_sec,
        )
        if close is None:
            return
        at_ms, secret = self._clocks.redis_now_ms(), self._rules.close_secret
        plan = close_plan(case.drift, close, at_ms=at_ms, secret="" if secret is None else secret.reveal())
        proposed = await self._store.propose_close(
            fence,
            CloseProposal(
                symbol=case.symbol,
                stream=self._rules.close_stream,
                bucket=int(close_cooldown_bucket(at_ms)),
                cooldown_sec=CLOSE_COOLDOWN_SEC,
                sig=case.own_sig,
                hold_ttl_ms=CLOSE_HOLD_SEC * 1000,
                plan=flat(plan),
                plan_id=PlanId(plan["plan_id"]),
                client_order_id=client_order_id(self._rules.key_prefix, PlanId(plan["plan_id"])),
                event=event_fields(
                    CaseEvent.CLOSE_PROPOSED,
                    case.symbol,
                    now_ms=at_ms,
                    drift=case.drift,
                    plan_id=plan["plan_id"],
                    side=close.side,
                    qty=plain(close.quantity),
                ),
            ),
        )
        if proposed:
            self._reports.close_proposed(case, plan["plan_id"], plain(close.quantity))
