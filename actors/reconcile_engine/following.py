"""Life of cases: what the latest comparison of a symbol does to its case."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from actors.reconcile_engine.cases import Case, OpenCases
from actors.reconcile_engine.comparison import Compared, PositionComparison
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from actors.reconcile_engine.steps import CaseSteps
from brain.identifiers import FencingToken, Symbol
from brain.numbers import ZERO
from brain.reconciliation import advice
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.comparing import unseen
from brain.reconciliation.drift import SIG_PREFIX, Drift, DriftReason, LegAmounts, own_sig
from clocks.clocks import Clocks
from store.errors import StoreRefusedError
from store.reconcile_records import ReconcileView

_EXECUTORS = "exec:"
_OPEN = frozenset({CaseStatus.DRIFT, CaseStatus.HOLD, CaseStatus.MANUAL_REQUIRED})
_DELISTED = "the exchange does not list the symbol any more"


class CaseFollower:
    """Opens, holds, renews, releases and ends cases. Looks at the evidence are none of its work."""

    def __init__(
        self,
        cases: OpenCases,
        comparison: PositionComparison,
        steps: CaseSteps,
        rules: ReconcileActorRules,
        reports: ReconcileReports,
        *,
        clocks: Clocks,
    ) -> None:
        self._cases = cases
        self._comparison = comparison
        self._steps = steps
        self._rules = rules
        self._reports = reports
        self._clocks = clocks

    async def follow(self, compared: Compared, fence: FencingToken) -> None:
        """Do what a comparison leads to. Raises as the store does, but for its refusals."""
        case, comparison = self._cases.get(compared.symbol), compared.comparison
        if case is not None:
            case.seen = comparison is not None
            if compared.asked_sec > case.held_sec and (_owner(compared) or "") != case.own_sig:
                case.requests.cancel()  # of a look whose hold is gone
            self._take_in_hold(case, compared)
        if comparison is None:
            await self._unseen(case, compared, fence)
        elif comparison.drift is None:
            await self._without_drift(case, compared, fence)
        else:
            await self._drifting(case, comparison.drift, compared, fence)

    async def leave_out(self, views: Mapping[Symbol, ReconcileView], fence: FencingToken) -> None:
        """End what cases of symbols that are not compared have left.

        Raises as the store does, but for its refusals.
        """
        compared = frozenset(self._comparison.symbols())
        for symbol, view in views.items():
            sig = "" if view.hold is None or view.hold.sig is None else view.hold.sig.decode(errors="replace")
            own = sig if sig.startswith(SIG_PREFIX) else ""
            if symbol not in compared and (own or view.status in _OPEN):
                try:
                    await self._steps.leave_out(symbol, own, fence)
                except StoreRefusedError as error:
                    self._reports.refused(symbol, str(error))

    async def _unseen(self, case: Case | None, compared: Compared, fence: FencingToken) -> None:
        """The position is not believed: a case stays as it is, and its hold stands."""
        is_gone = compared.unseen_sec >= self._rules.rules.exchange_freshness_sec
        if case is not None and case.drift.reason.compares and case.status is not None:
            if not is_gone or self._comparison.is_listed(compared.symbol):
                await self._keep_hold(case, compared, fence)
                return
            if case.looking:
                case.requests.cancel()
                return
            if case.own_sig and not await self._steps.let_go(case, fence, why=_DELISTED):
                return
            self._cases.drop(case)
            case = None
        if not is_gone:
            return
        view = compared.view
        drift = unseen(compared.symbol, compared.legs, view.ledger, view.version)
        if drift is not None:
            await self._drifting(case, drift, compared, fence, settled=True)
        elif case is not None or not self._comparison.is_listed(compared.symbol):
            await self._without_drift(case, compared, fence)

    async def _without_drift(self, case: Case | None, compared: Compared, fence: FencingToken) -> None:
        """Both agree, or open permits explain the difference."""
        if case is None:
            case = await self._left_over(compared, fence)
            if case is None:
                return
            self._cases.add(case)
        if case.looking:
            case.requests.cancel()
            return
        if case.status is None:
            self._cases.drop(case)
            return
        if not case.own_sig and case.asked_for and self._comparison.is_in_flight(compared):
            # A difference within the tolerance, beside orders of ours: they say nothing of it.
            case.calm_since_sec = trio.current_time()
            return
        if not self._cases.is_calm(case, trio.current_time()):
            await self._keep_hold(case, compared, fence)
            return
        amount = sum((row.amount for row in compared.legs or ()), ZERO)
        if await self._steps.clear(case, amount or ZERO, case.own_sig or None, fence):
            self._cases.drop(case)

    async def _left_over(self, compared: Compared, fence: FencingToken) -> Case | None:
        """Return a case for what was left in Redis without a drift: an own hold, or the state of a case.

        A hold of the executor is taken over if its order is over.
        """
        sig = _owner(compared) or ""
        if sig.startswith(_EXECUTORS):
            case = self._recalled(compared, sig)
            return case if await self._steps.hold(case, sig, fence) else None
        if sig.startswith(SIG_PREFIX) or compared.view.status in _OPEN:
            return self._recalled(compared, sig)
        return None

    async def _drifting(
        self,
        case: Case | None,
        drift: Drift,
        compared: Compared,
        fence: FencingToken,
        *,
        settled: bool = False,
    ) -> None:
        """They differ. `settled`: for long enough already."""
        now_sec = trio.current_time()
        sig = _owner(compared)
        if case is not None and case.drift.reason.compares != drift.reason.compares:
            if case.looking:
                case.requests.cancel()
                return
            case = self._of_other_kind(case, drift)
        if case is None:
            case = self._cases.add(self._new(drift))
            self._take_in_hold(case, compared)
            # What is held by us was a case before this process began, or before Redis was another one.
            settled = settled or (sig or "").startswith(SIG_PREFIX)
        case.see(drift, now_sec)
        case.evidence_since_ms = self._comparison.since_ms(compared, case.first_seen_ms)
        if not settled and not self._cases.is_settled(case, now_sec):
            return
        if case.tell(f"reason {drift.reason}"):
            self._reports.drift(case)
        if case.repaired == case.signature:
            return
        if case.status is None and case.own_sig:
            self._recall(case, compared)
        await self._settled(case, compared, fence)

    async def _settled(self, case: Case, compared: Compared, fence: FencingToken) -> None:
        if case.held_by is not None:
            takes_over = case.held_by.startswith(_EXECUTORS) and case.drift.reason.compares
            if takes_over and not case.looking and await self._steps.hold(case, case.held_by, fence):
                return
            await self._steps.wait(case, fence, why=advice.held_by_another(case.held_by))
        elif case.keeps_hold(on_stale=self._rules.rules.hold_on_stale and self._is_listed(case)):
            await self._keep_hold(case, compared, fence, sets=True)
        elif not case.drift.reason.compares:
            if case.own_sig and self._is_listed(case):
                # What is not known is no reason to release a hold.
                await self._keep_hold(case, compared, fence)
                return
            if case.own_sig and not await self._steps.let_go(case, fence, why=_DELISTED):
                return
            await self._steps.wait(case, fence, why=advice.problem_of(case.drift))
        elif case.own_sig and not case.looking:
            # Left by a look that was cancelled.
            await self._steps.let_go(case, fence, why="the difference is within the tolerance")
        elif case.status is None:
            case.status = CaseStatus.DRIFT  # the look that follows sets the hold and says so

    async def _keep_hold(
        self, case: Case, compared: Compared, fence: FencingToken, *, sets: bool = False
    ) -> None:
        """Renew the own hold at half of its life, or for another drift; `sets`: set one where none stands."""
        hold = compared.view.hold
        if case.held_by is not None:
            return
        if hold is None:
            if case.looking:
                if not case.own_sig:
                    case.requests.cancel()  # of a look that has released it while it waits
            elif sets:
                await self._steps.hold(case, None, fence)
            return
        if (hold.ttl_ms or 0) <= self._rules.hold_ttl_ms // 2:
            await self._steps.hold(case, case.own_sig, fence, same=case.looking)
        elif case.own_sig != own_sig(case.drift) and not case.looking:
            await self._steps.hold(case, case.own_sig, fence)

    def _take_in_hold(self, case: Case, compared: Compared) -> None:
        """Take over the hold as it stands in Redis; a look in hand has set its own."""
        if case.looking:
            return
        sig = _owner(compared)
        case.own_sig = sig if sig is not None and sig.startswith(SIG_PREFIX) else ""
        case.held_by = None if sig is None or case.own_sig else sig
        hold = compared.view.hold
        left_sec = float("inf") if hold is None or hold.ttl_ms is None else hold.ttl_ms / 1000
        case.other_ends_sec = trio.current_time() + left_sec
        if not case.own_sig:
            case.held_since_sec = None
        elif case.held_since_sec is None:
            case.held_since_sec = trio.current_time()

    def _of_other_kind(self, case: Case, drift: Drift) -> Case:
        """Return the case in the place of one of which amounts are known no longer, or only now."""
        self._cases.drop(case)
        other = self._cases.add(self._new(drift))
        other.own_sig, other.held_since_sec, other.held_by = case.own_sig, case.held_since_sec, case.held_by
        other.told |= case.told & {"held"}
        other.status = case.status if case.own_sig else None
        return other

    def _recalled(self, compared: Compared, sig: str) -> Case:
        """Return a case for a hold that stands although there is no drift."""
        legs = tuple(LegAmounts(row.leg, row.amount, row.amount) for row in compared.legs or ())
        drift = Drift(
            symbol=compared.symbol,
            reason=DriftReason.QTY_MISMATCH,
            legs=legs,
            exceeds=True,
            version=compared.view.version,
        )
        case = self._new(drift)
        case.status = CaseStatus.HOLD
        if sig.startswith(SIG_PREFIX):
            case.own_sig, case.held_since_sec = sig, trio.current_time()
        return case

    def _new(self, drift: Drift) -> Case:
        now = self._clocks.now()
        return Case(
            drift,
            now_sec=trio.current_time(),
            since_ms=self._clocks.redis_now_ms(),
            first_seen_ms=self._clocks.exchange_ms(now),
            settle_sec=self._rules.rules.settle_sec,
        )

    def _recall(self, case: Case, compared: Compared) -> None:
        """Take over a case that another process, or a lost answer, has left in Redis with its hold."""
        case.status = CaseStatus.HOLD
        case.told.add("held")
        if compared.view.status == CaseStatus.MANUAL_REQUIRED and case.own_sig == own_sig(case.drift):
            case.status = CaseStatus.MANUAL_REQUIRED
            case.asked_for = case.matter

    def _is_listed(self, case: Case) -> bool:
        return self._comparison.is_listed(case.symbol)


def _owner(compared: Compared) -> str | None:
    """Return the owner of the hold that stands; None for no hold, empty for one without an owner."""
    hold = compared.view.hold
    return None if hold is None else (hold.sig or b"").decode(errors="backslashreplace")
