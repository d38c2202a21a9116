"""Looks at the evidence of drifts: what is proven is booked, the rest waits for a person."""

from __future__ import annotations

import msgspec
import trio

from actors.reconcile_engine.cases import Case, OpenCases
from actors.reconcile_engine.closes import CloseProposals
from actors.reconcile_engine.comparison import Compared, PositionComparison
from actors.reconcile_engine.evidence import EvidenceReader
from actors.reconcile_engine.history_search import EvidenceGapError
from actors.reconcile_engine.look_requests import LookRequests
from actors.reconcile_engine.repairs import LedgerRepairs
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from actors.reconcile_engine.steps import CaseSteps
from actors.reconcile_engine.weight import EvidenceWeight
from brain.identifiers import FencingToken
from brain.reconciliation import advice
from brain.reconciliation.case_life import CaseStatus, needs_person
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Evidence, Explained, Finding, Gap, Unexplained
from brain.reconciliation.record import weighed
from brain.reconciliation.texts import CaseEvent
from store.errors import StoreRefusedError, StoreUnavailableError, WrongRightsError
from supervision import Heartbeat


class CaseLooks:
    """Looks at one case at a time a task. An own hold stands before the first request, and until the end."""

    def __init__(
        self,
        cases: OpenCases,
        comparison: PositionComparison,
        evidence: EvidenceReader,
        weight: EvidenceWeight,
        steps: CaseSteps,
        repairs: LedgerRepairs,
        closes: CloseProposals,
        rules: ReconcileActorRules,
        reports: ReconcileReports,
    ) -> None:
        self._cases = cases
        self._comparison = comparison
        self._evidence = evidence
        self._weight = weight
        self._steps = steps
        self._repairs = repairs
        self._closes = closes
        self._rules = rules
        self._reports = reports

    async def look(self, case: Case, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Look at the case once. Raises as the store does, but for its refusals: they concern this symbol."""
        try:
            outcome = await self._look(case, fence, heartbeat)
        except StoreRefusedError as error:
            self._reports.refused(case.symbol, str(error))
            case.why = str(error)
            case.look_again(trio.current_time())
            outcome = "refused"
        except StoreUnavailableError as error:
            # Others go on. Where Redis is away, the comparison waits for it, and ends them all.
            if isinstance(error, WrongRightsError):
                self._reports.refused(case.symbol, str(error))
            case.why = str(error)
            case.look_again(trio.current_time())
            outcome = "unavailable"
        case.looks += 1
        case.looked_sec = trio.current_time()
        self._reports.looked(outcome)

    async def _look(self, case: Case, fence: FencingToken, heartbeat: Heartbeat) -> str:
        """Return the outcome in a word."""
        case.weighed = None
        if not await self._steps.hold(case, case.own_sig or None, fence):
            case.look_again(trio.current_time())
            return "held"
        requests, evidence = LookRequests(case, self._steps, self._weight, fence), None
        try:
            with trio.CancelScope() as case.requests:
                evidence = await self._evidence.read(
                    case.symbol, case.evidence_since_ms, case.trades, requests.may_send, heartbeat
                )
        except EvidenceGapError as gap:
            await self._incomplete(case, gap.kind, str(gap), fence, again_sec=gap.again_sec)
            return "incomplete"
        if evidence is None:
            case.look_again(trio.current_time())
            return "interrupted"
        compared = await self._comparison.again(case.symbol)
        return await self._weigh(case, evidence, compared, fence)

    async def _weigh(
        self, case: Case, evidence: Evidence, compared: Compared | None, fence: FencingToken
    ) -> str:
        """Weigh the evidence against amounts that were read after it."""
        if compared is None or compared.comparison is None:
            why = "the position on the exchange is not known to be current"
            await self._incomplete(case, "position", why, fence)
            return "incomplete"
        drift = compared.comparison.drift
        if drift is None or not drift.reason.compares:
            case.look_again(trio.current_time())
            return "agreed"
        case.see(drift, trio.current_time())
        agreements, view = self._comparison.agreements, compared.view
        evidence = msgspec.structs.replace(
            evidence,
            verified_ms=compared.verified_ms,
            contained_ms=view.adopted_ms,
            agreed=agreements.amounts_at(evidence.since_ms, case.symbol, view),
        )
        case.weighed = weighed(drift, evidence, self._rules.rules.adopted)
        finding = case.weighed.finding
        if isinstance(finding, Explained) and finding.adopted:
            return await self._repair(case, drift, finding, evidence, compared, fence)
        return await self._unsettled(case, finding, fence)

    async def _repair(
        self,
        case: Case,
        drift: Drift,
        finding: Explained,
        evidence: Evidence,
        compared: Compared,
        fence: FencingToken,
    ) -> str:
        case.finding = finding
        repair = await self._repairs.repair(case, drift, finding, evidence, compared, fence)
        if isinstance(repair, str):
            await self._manual(case, finding, repair, fence)
            return "manual"
        if not repair.written:
            # Ledger, memory or hold have changed since they were read: begin anew.
            case.look_again(trio.current_time())
            return "changed"
        if repair.rest is not None and finding.foreign:
            case.see(repair.rest, trio.current_time())
            if self._rules.shadow:
                case.repaired = case.signature
            rest = Explained((), finding.foreign)
            await self._manual(case, rest, advice.why(rest), fence)
            return "repaired"
        if self._rules.shadow:
            case.repaired, case.own_sig, case.status = case.signature, "", CaseStatus.REPAIRED
        else:
            self._cases.drop(case)
        return "repaired"

    async def _unsettled(self, case: Case, finding: Finding, fence: FencingToken) -> str:
        """Nothing can be booked by this look."""
        rules, now_sec = self._rules.rules, trio.current_time()
        complete_sec = 0.0 if _lacks_pages(finding) else case.complete_for_sec(finding, now_sec)
        lag_sec = rules.history_lag_sec
        if needs_person(finding, complete_for_sec=complete_sec, history_lag_sec=lag_sec):
            await self._manual(case, finding, advice.why(finding), fence)
            return "manual"
        if isinstance(finding, Unexplained) and finding.gap is not None:
            await self._incomplete(case, finding.gap, finding.why, fence, finding=finding)
            return "incomplete"
        case.look_again(now_sec, until_sec=lag_sec)
        await self._steps.after_look(
            case, fence, status=CaseStatus.HOLD, why=advice.why(finding), finding=finding
        )
        return "unexplained"

    async def _manual(self, case: Case, finding: Finding, why: str, fence: FencingToken) -> None:
        rules = self._rules.rules
        closes_after_sec = rules.close_after_sec if rules.closes_excess else None
        case.look_when_changed(trio.current_time(), finding, closes_after_sec=closes_after_sec)
        asked_for, event = case.matter, CaseEvent.MANUAL_REQUIRED
        if not case.keeps_hold(on_stale=False):
            event = CaseEvent.DRIFT
        written = await self._steps.after_look(
            case,
            fence,
            status=CaseStatus.MANUAL_REQUIRED,
            why=why,
            event=None if case.asked_for == asked_for else event,
            finding=finding,
        )
        if written:
            case.asked_for = asked_for
        if case.is_manual:
            await self._closes.consider(case, fence)

    async def _incomplete(
        self,
        case: Case,
        kind: str,
        why: str,
        fence: FencingToken,
        *,
        again_sec: float | None = None,
        finding: Finding | None = None,
    ) -> None:
        lag_sec = self._rules.rules.history_lag_sec if finding is not None else 0.0
        case.look_again(trio.current_time(), at_sec=again_sec, until_sec=lag_sec)
        await self._steps.after_look(
            case,
            fence,
            status=CaseStatus.HOLD,
            why=why,
            event=CaseEvent.EVIDENCE_INCOMPLETE,
            once=f"incomplete {kind}",
            finding=finding,
        )


def _lacks_pages(finding: Finding) -> bool:
    return isinstance(finding, Unexplained) and finding.gap is Gap.PAGES
