"""Steps of a case in Redis: each one script, which compares the owner of the hold."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec
import trio

from actors.reconcile_engine.cases import Case
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from brain.identifiers import FencingToken, Symbol
from brain.reconciliation import advice
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import SIG_PREFIX, own_sig
from brain.reconciliation.evidence import Finding
from brain.reconciliation.record import record_details
from brain.reconciliation.texts import (
    LEFT_OUT,
    CaseEvent,
    agreed_state,
    drift_state,
    event_fields,
    growth_details,
    left_out_state,
)
from clocks.clocks import Clocks
from store.errors import StoreRefusedError
from store.reconcile_protocol import ReconcileStore
from store.reconcile_records import CaseChange, HoldChange

_EXECUTORS: Final = "exec:"
#: A state is written again after so long: its key expires a day after the last write (seconds).
_WRITTEN_SEC: Final = 3600.0


class CaseSteps:
    """Writes what becomes of cases. A step that Redis refuses is logged, and taken again later."""

    def __init__(
        self,
        store: ReconcileStore,
        rules: ReconcileActorRules,
        reports: ReconcileReports,
        *,
        clocks: Clocks,
    ) -> None:
        self._store = store
        self._rules = rules
        self._reports = reports
        self._clocks = clocks

    async def hold(self, case: Case, before: str | None, fence: FencingToken, *, same: bool = False) -> bool:
        """Set the own hold, or renew it for the drift as it is; `before`: the owner of the one that stands.

        `same`: renew it as it is. False where another holds the symbol, where an own hold is gone, and for an
        `exec:` hold of an order that is not over.
        """
        sig = case.own_sig if same else own_sig(case.drift)
        if case.status in (None, CaseStatus.DRIFT):
            case.why = ""
        status = CaseStatus.MANUAL_REQUIRED if case.is_manual else CaseStatus.HOLD
        event: tuple[str, ...] = ()
        lasts = case.keeps_hold(on_stale=True) or (before or "").startswith(_EXECUTORS)
        if lasts and "held" not in case.told and not (before or "").startswith(SIG_PREFIX):
            event = self._event(CaseEvent.HOLD_SET, case, hold_sig=sig)
        ttl_ms = self._rules.hold_ttl_ms
        change = CaseChange(
            symbol=case.symbol,
            hold=HoldChange(before=before, sig=sig, reason=case.drift.reason.value, ttl_ms=ttl_ms),
            state=self._state(case, status, sig),
            event=event,
        )
        if not await self._written(case, change, fence):
            return False
        if event:
            self._reports.hold_set(case, self._rules.rules.hold_ttl_sec)
            case.told.add("held")
        case.took_over = case.took_over or (before or "").startswith(_EXECUTORS)
        if case.held_since_sec is None:
            case.held_since_sec = trio.current_time()
        case.own_sig, case.held_by, case.status = sig, None, status
        case.held_sec = trio.current_time()
        return True

    async def wait(self, case: Case, fence: FencingToken, *, why: str) -> None:
        """Write a case without a hold of ours, with its event once; an unchanged one once an hour."""
        is_written = trio.current_time() - case.written_sec < _WRITTEN_SEC
        if case.status is CaseStatus.DRIFT and case.why == why and is_written:
            return
        event: tuple[str, ...] = ()
        if "drift" not in case.told:
            event = self._event(CaseEvent.DRIFT, case, why=why, **growth_details(case.found))
        case.why = why
        change = CaseChange(symbol=case.symbol, state=self._state(case, CaseStatus.DRIFT, ""), event=event)
        if await self._written(case, change, fence):
            case.told.add("drift")
            case.status = CaseStatus.DRIFT

    async def after_look(
        self,
        case: Case,
        fence: FencingToken,
        *,
        status: CaseStatus,
        why: str,
        event: CaseEvent | None = None,
        once: str = "",
        finding: Finding | None = None,
    ) -> bool:
        """Write what a look has found; a hold that stood for the look alone is released.

        `event` is written unless `once` was said of the case. Return False where nothing was written.
        """
        case.why = why
        if finding is not None:
            case.finding = finding
        keeps_hold = case.keeps_hold(on_stale=False)
        releases = bool(case.own_sig) and not keeps_hold
        if not keeps_hold:
            status = CaseStatus.DRIFT
        fields: tuple[str, ...] = ()
        if event is not None and not (once and once in case.told):
            details = growth_details(case.found) | record_details(case.weighed)
            fields = self._event(event, case, why=why, **details)
        change = CaseChange(
            symbol=case.symbol,
            hold=HoldChange(before=case.own_sig, sig="") if releases else None,
            state=self._state(case, status, "" if releases else case.own_sig),
            event=fields,
        )
        if not await self._written(case, change, fence):
            return False
        if once:
            case.told.add(once)
        if releases:
            self._forget_hold(case)
        case.status = status
        return True

    async def clear(self, case: Case, amount: Decimal, before: str | None, fence: FencingToken) -> bool:
        """End a case whose sides agree: release the own hold, which `before` owns; None: none stands.

        `amount`: the sum over the legs (contracts).
        """
        event: tuple[str, ...] = ()
        now_ms = self._clocks.redis_now_ms()
        if before is not None:
            event = event_fields(
                CaseEvent.HOLD_CLEARED,
                case.symbol,
                now_ms=now_ms,
                reason=case.drift.reason.value,
                hold_sig=before,
                why="both agree",
            )
        change = CaseChange(
            symbol=case.symbol,
            hold=None if before is None else HoldChange(before=before, sig=""),
            state=agreed_state(CaseStatus.OK, amount, now_ms=now_ms),
            event=event,
        )
        if not await self._written(case, change, fence):
            return False
        self._forget_hold(case)
        if before is not None:
            self._reports.hold_cleared(case)
        return True

    async def let_go(self, case: Case, fence: FencingToken, *, why: str) -> bool:
        """Release the own hold of a case that goes on without one."""
        change = CaseChange(
            symbol=case.symbol,
            hold=HoldChange(before=case.own_sig, sig=""),
            state=self._state(case, CaseStatus.DRIFT, ""),
            event=self._event(CaseEvent.HOLD_CLEARED, case, hold_sig=case.own_sig, why=why),
        )
        if not await self._written(case, change, fence):
            return False
        self._forget_hold(case)
        self._reports.hold_cleared(case)
        case.status = CaseStatus.DRIFT
        return True

    async def leave_out(self, symbol: Symbol, hold_sig: str, fence: FencingToken) -> None:
        """End what is left of the case of a symbol that is not compared.

        `hold_sig`: of the own hold, or empty. Nothing is written if another holds the symbol by now. Raises
        as the store does.
        """
        now_ms = self._clocks.redis_now_ms()
        event: tuple[str, ...] = ()
        if hold_sig:
            event = event_fields(
                CaseEvent.HOLD_CLEARED, symbol, now_ms=now_ms, reason="", hold_sig=hold_sig, why=LEFT_OUT
            )
        change = CaseChange(
            symbol=symbol,
            hold=HoldChange(before=hold_sig, sig="") if hold_sig else None,
            state=left_out_state(now_ms=now_ms),
            event=event,
        )
        await self._store.change_case(fence, change)

    def _forget_hold(self, case: Case) -> None:
        case.own_sig, case.held_since_sec = "", None

    def _state(self, case: Case, status: CaseStatus, sig: str) -> Sequence[str]:
        return drift_state(
            status,
            case.drift,
            found=case.found,
            why=case.why or advice.problem_of(case.drift),
            advice=advice.advise(
                status,
                case.drift,
                case.finding,
                held_by=None if sig else case.held_by,
                key_prefix=self._rules.key_prefix,
            ),
            hold_sig=sig,
            since_ms=case.since_ms,
            now_ms=self._clocks.redis_now_ms(),
        )

    def _event(self, event: CaseEvent, case: Case, **details: str) -> tuple[str, ...]:
        now_ms = self._clocks.redis_now_ms()
        return event_fields(event, case.symbol, now_ms=now_ms, drift=case.drift, **details)

    async def _written(self, case: Case, change: CaseChange, fence: FencingToken) -> bool:
        try:
            written = await self._store.change_case(fence, change)
        except StoreRefusedError as error:
            self._reports.refused(case.symbol, str(error))
            if change.hold is None:
                return False
            # A state of a wrong type must not leave the symbol unheld.
            alone = msgspec.structs.replace(change, state=(), event=())
            written = await self._store.change_case(fence, alone)
        if written:
            case.written_sec = trio.current_time()
        return written
