"""Repairs of ledgers by what evidence has proven."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.reconcile_engine.cases import Case
from actors.reconcile_engine.comparison import Compared, PositionComparison
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from brain.identifiers import FencingToken
from brain.ledger.ledger import LEDGER_TTL_MS
from brain.numbers import ZERO
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import Drift, own_sig
from brain.reconciliation.evidence import Evidence, Explained
from brain.reconciliation.record import record_details
from brain.reconciliation.repairing import Repaired, repair
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.texts import (
    CaseEvent,
    agreed_state,
    drift_state,
    event_fields,
    growth_details,
    orphan_event,
)
from clocks.clocks import Clocks
from store.reconcile_protocol import ReconcileStore
from store.reconcile_records import HoldChange, LedgerRepair
from store.records import OrderWrite


class RepairReply(NamedTuple):
    """`written`: the repair was; else something of it had changed. `rest`: the drift that remains."""

    written: bool
    rest: Drift | None = None


class LedgerRepairs:
    """Books proven fills through the ledger's own arithmetic, and never sets a ledger to an amount."""

    def __init__(
        self,
        store: ReconcileStore,
        comparison: PositionComparison,
        reports: ReconcileReports,
        rules: ReconcileActorRules,
        *,
        clocks: Clocks,
    ) -> None:
        self._store = store
        self._hold_ttl_ms = rules.hold_ttl_ms
        self._comparison = comparison
        self._reports = reports
        self._clocks = clocks

    async def repair(
        self,
        case: Case,
        drift: Drift,
        finding: Explained,
        evidence: Evidence,
        compared: Compared,
        fence: FencingToken,
    ) -> RepairReply | str:
        """Book the adopted fills; a text says why the ledger cannot be moved. Raises as the store does.

        `drift`: of `compared`.
        """
        view, now_ms = compared.view, self._clocks.redis_now_ms()
        repaired = repair(drift, view.ledger, finding.adopted, now_ms=now_ms)
        if isinstance(repaired, str):
            return repaired
        rest = self._rest(compared, repaired)
        hold = HoldChange(before=case.own_sig, sig="")
        if rest is not None and (rest.exceeds or case.took_over):
            hold = HoldChange(
                before=case.own_sig, sig=own_sig(rest), reason=rest.reason.value, ttl_ms=self._hold_ttl_ms
            )
        written = await self._store.repair_ledger(
            fence,
            LedgerRepair(
                symbol=case.symbol,
                before=view.ledger,
                before_version=view.version,
                ledger_fields=tuple(text for pair in repaired.fields.items() for text in pair),
                ledger_ttl_ms=LEDGER_TTL_MS,
                orders=tuple(
                    OrderWrite(order_id, evidence.memories.get(order_id), memory)
                    for order_id, memory in repaired.memories.items()
                ),
                hold=hold,
                state=self._state(case, finding, compared, rest, now_ms),
                events=(
                    event_fields(
                        CaseEvent.AUTO_REPAIR,
                        case.symbol,
                        now_ms=now_ms,
                        drift=drift,
                        **growth_details(finding.adopted),
                        **record_details(case.weighed),
                    ),
                    *_orphan_events(case, finding, evidence, now_ms),
                ),
            ),
        )
        if not written:
            return RepairReply(False)
        self._reports.repaired(case, drift, finding.adopted, now_ms)
        case.own_sig = hold.sig
        if not hold.sig:
            case.held_since_sec = None
        return RepairReply(True, rest)

    def _rest(self, compared: Compared, repaired: Repaired) -> Drift | None:
        """Return the drift that is left by the repaired ledger."""
        view = compared.view._replace(ledger=repaired.ledger, version=repaired.version)
        legs = compared.legs or ()
        return self._comparison.comparison_of(compared.symbol, legs, view).drift

    def _state(
        self, case: Case, finding: Explained, compared: Compared, rest: Drift | None, now_ms: int
    ) -> tuple[str, ...]:
        if rest is None:
            amount = sum((row.amount for row in compared.legs or ()), ZERO)
            return agreed_state(CaseStatus.REPAIRED, amount or ZERO, repaired=finding.adopted, now_ms=now_ms)
        return drift_state(
            CaseStatus.REPAIRED, rest, found=finding.foreign, since_ms=case.since_ms, now_ms=now_ms
        )


def _orphan_events(
    case: Case, finding: Explained, evidence: Evidence, now_ms: int
) -> Iterator[tuple[str, ...]]:
    """Yield the events of our orders without a record that the executor has not reported."""
    for growth in finding.adopted:
        if growth.cause is DriftCause.OWN_ORPHAN and growth.client_order_id not in evidence.orphans:
            yield orphan_event(case.symbol, growth, now_ms=now_ms)
