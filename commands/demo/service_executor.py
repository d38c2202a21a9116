"""The daemon's own executor, as the chain's record shows what it does."""

from __future__ import annotations

import time
from decimal import Decimal

import trio

from commands.demo.executors import Fill
from commands.demo.keys import KEYS
from commands.demo.machine_load import NotInTimeError
from commands.demo.other_services import OtherServices
from commands.demo.outcome import UNANSWERED, Verdict, outcome_of_result, refused
from commands.demo.record import PlanRecord
from commands.demo.scenarios import Governor, PlanToPublish
from commands.demo.tally import Decided, Tally
from commands.demo.watcher import Watcher
from permit_gate import P33, Terms
from permit_gate.reading import Yes, read_permit

#: Longest wait for permits, leverage and order on a calm machine, and a margin.
_RESULT_WITHIN_SEC = 6.0


class ServiceExecutor:
    """Follows plans to their results."""

    def __init__(self, watcher: Watcher, services: OtherServices, tally: Tally) -> None:
        self._watcher = watcher
        self._services = services
        self._tally = tally

    async def follow(
        self, plan: PlanToPublish, symbol: str, scenario: str, published_sec: float
    ) -> Fill | None:
        """Wait for the plan's result."""
        plan_id = plan.fields["plan_id"]
        record = self._watcher.record.plan(plan_id)
        ended = await self._watcher.late_or_never(
            plan_id,
            lambda: record.end or None,
            f"{symbol}: {scenario}: not in time: a result of plan {plan_id}",
            _RESULT_WITHIN_SEC,
            # The position is what was executed, however late.
            self._tally.not_in_time,
        )
        if ended is None:
            return None
        was_refused = self._count(plan, symbol, scenario, published_sec, record)
        if plan.governor is not Governor.GRANTS or was_refused:
            # What the permit reserves would be missing to the next plan.
            try:
                await self._services.wait_for_revocation(plan.fields)
            except NotInTimeError as error:
                self._tally.not_in_time(f"{symbol}: not in time: {error}")
        return _fill(record)

    def _count(
        self, plan: PlanToPublish, symbol: str, scenario: str, published_sec: float, record: PlanRecord
    ) -> bool:
        """Tally the plan's outcome; return whether it was refused against what was expected."""
        terms = _terms(record, plan.fields["plan_id"], symbol)
        outcome = outcome_of_result(record.result, terms)
        expected = plan.expected
        if expected == UNANSWERED:
            # It asks for no order, and its executor says why.
            expected = refused(plan.fields["reason_codes"])
        as_expected = outcome == expected or outcome in plan.also
        took_ms = (trio.current_time() - published_sec) * 1000
        self._tally.decided(
            Decided(time.time(), symbol, scenario, outcome, took_ms, as_expected),
            expected,
            kind=None if terms is None else str(terms.kind),
            of_intent=plan.intent is not None,
        )
        self._tally.orders += bool(record.order)
        return not as_expected and outcome.verdict is Verdict.REFUSED


def _fill(record: PlanRecord) -> Fill | None:
    result = record.result
    if not record.order:
        return None
    filled = Decimal(result["filled_qty"])
    ago_sec = time.time() - record.result_ms / 1000
    return Fill(filled if result["side"] == "BUY" else -filled, trio.current_time() - ago_sec)


def _terms(record: PlanRecord, plan_id: str, symbol: str) -> Terms | None:
    """Return the terms of the permit that was consumed for the order."""
    if not record.permit:
        return None
    permit = read_permit(
        P33, record.permit.encode(), plan_id=plan_id, symbol=symbol, key_prefix=KEYS.prefix, signing_key=None
    )
    return permit.terms if isinstance(permit, Yes) else None
