"""The reconcile engine on the page."""

from __future__ import annotations

import msgspec

from brain.reconciliation.case_life import CaseStatus
from monitoring.page_view.roles import reconcile_tone
from monitoring.status.document import RolesShown
from monitoring.status.reconcile import CaseShown
from page.open_cases import CaseLeg, CaseOrder, OpenCase, Reconcile, Repair
from page.tone import Tone

_MOST_CASES = 20
_MOST_ORDERS = 5
_TONES = {CaseStatus.MANUAL_REQUIRED: Tone.BAD, CaseStatus.DRIFT: Tone.ASIDE}


def page_reconcile(shown: RolesShown | msgspec.UnsetType) -> Reconcile | None:
    """Return the reconcile engine as the page shows it; None where it is off."""
    if isinstance(shown, msgspec.UnsetType) or isinstance(shown.reconcile, msgspec.UnsetType):
        return None
    reconcile = shown.reconcile
    cases = reconcile.cases[:_MOST_CASES]
    weight = ""
    if reconcile.weight_1m is not None:
        weight = f"{reconcile.weight_1m} of {reconcile.weight_per_min} request weight in the last 60 s"
    return Reconcile(
        state=_state(reconcile.open_cases, reconcile.manual, reconcile.mode),
        tone=reconcile_tone(reconcile),
        doing=reconcile.doing,
        weight=weight,
        cases=tuple(map(_case, cases)),
        left_out=(reconcile.open_cases or 0) - len(cases),
        repaired=tuple(msgspec.convert(each, Repair, from_attributes=True) for each in reconcile.repaired),
    )


def _state(open_cases: int | None, manual: int | None, mode: str) -> str:
    if open_cases is None:
        return mode
    if manual:
        return f"{manual} for a person"
    return f"{open_cases} open" if open_cases else "all agree"


def _case(case: CaseShown) -> OpenCase:
    orders = case.orders[-_MOST_ORDERS:]
    return OpenCase(
        symbol=case.symbol,
        status=case.status,
        tone=_TONES.get(CaseStatus(case.status), Tone.WATCH),
        reason=case.reason,
        cause=case.cause,
        exchange=case.exchange,
        ledger=case.ledger,
        difference=case.difference,
        percent=case.percent,
        legs=tuple(CaseLeg(each.leg, each.exchange, each.ledger) for each in case.legs),
        since=case.since,
        for_sec=case.for_sec,
        hold=_hold(case),
        why=case.why,
        advice=case.advice,
        orders=tuple(msgspec.convert(each, CaseOrder, from_attributes=True) for each in orders),
        orders_left_out=case.orders_left_out + len(case.orders) - len(orders),
        looks=case.looks,
        next_look_sec=case.next_look_sec,
    )


def _hold(case: CaseShown) -> str:
    if case.held:
        return "held by this service"
    if case.held_by is None:
        return "not held"
    return f"held by another: {case.held_by or 'no hold_sig'}"
