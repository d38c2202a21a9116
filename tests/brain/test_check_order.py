"""The order of the checks: of two faults, the one that the contract names earlier gives the reason."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import pytest

from brain.decisions.decision import decide, trail
from brain.plans.check_results import Outcome
from brain.plans.permit import Kind, Reason
from tests.brain.cases import NOW_MS, case, entry, ledger, open_permit, reconcile_close, snapshot


class Fault(NamedTuple):
    """Change of a plan, and of the rest of its case, that makes one check deny."""

    check: str
    reason: Reason
    in_plan: dict[str, Any]
    in_case: dict[str, Any]


OPENING = [
    Fault("well-formed", Reason.MALFORMED_PLAN, {"reduce_only": None}, {}),
    Fault("not expired", Reason.PLAN_EXPIRED, {}, {"entry_ms": NOW_MS - 60_000}),
    Fault("not settled", Reason.PLAN_ALREADY_SETTLED, {}, {"settled": True}),
    Fault("survived", Reason.RECOVERING, {}, {"redis_changed_ms": NOW_MS}),
    Fault("allowlist", Reason.SYMBOL_NOT_IN_ALLOWLIST, {}, {"in_allowlist": False}),
    Fault("on the exchange", Reason.SYMBOL_NOT_ON_EXCHANGE, {}, {"symbol_rules": None}),
    Fault("hold", Reason.RECONCILE_HOLD_ACTIVE, {}, {"hold": True}),
    Fault("snapshot present", Reason.NO_EXCHANGE_SNAPSHOT, {}, {"snapshot": None}),
    Fault("fresh", Reason.STALE_EXCHANGE_STATE, {}, {"snapshot": snapshot("0", age_sec=60)}),
    Fault("leg", Reason.POSITION_SIDE_REQUIRED, {}, {"hedge_mode": True}),
    Fault("kind", Reason.MALFORMED_PLAN, {"eval_type": "EXIT"}, {}),
    Fault("recovering", Reason.RECOVERING, {}, {"redis_changed_ms": NOW_MS - 1000}),
    Fault("ledger quantity", Reason.RECONCILE_REQUIRED_QTY_MISMATCH, {}, {"ledger": ledger("1")}),
    Fault("cooldown", Reason.COOLDOWN_IN_FLIGHT, {}, {"cooldown_text": str(NOW_MS)}),
    Fault(
        "in flight", Reason.IN_FLIGHT_PERMIT, {}, {"open_permits": (open_permit(Kind.OPEN, "BUY", "0.01"),)}
    ),
    Fault("quantity", Reason.BELOW_MIN_QTY, {"quantity": Decimal("0.0001")}, {}),
]
ADDING = [
    Fault("recovering", Reason.RECOVERING, {}, {"redis_changed_ms": NOW_MS - 1000}),
    Fault("ledger side", Reason.RECONCILE_REQUIRED_SIDE_MISMATCH, {}, {"ledger": ledger("-1")}),
    *OPENING[-3:],
]
SAME_FIELD = {("snapshot present", "fresh")}


def _pairs() -> list[Any]:
    return [
        pytest.param(amount, earlier, later, id=f"{earlier.check} before {later.check}, at {amount}")
        for amount, faults in (("0", OPENING), ("0.038", ADDING))
        for earlier, later in combinations(faults, 2)
        if (earlier.check, later.check) not in SAME_FIELD
    ]


@pytest.mark.parametrize(("amount", "earlier", "later"), _pairs())
def test_the_earlier_of_two_faults_decides(amount: str, earlier: Fault, later: Fault) -> None:
    sound = case(entry(), amount)
    assert decide(sound).allow
    for faults in ((earlier,), (later,), (later, earlier)):
        changed = sound
        for fault in faults:
            changed = msgspec.structs.replace(
                changed, plan=msgspec.structs.replace(changed.plan, **fault.in_plan), **fault.in_case
            )
        decisive = faults[-1]
        denied = [result for result in trail(changed) if result.outcome is Outcome.DENIED]
        assert [(result.name, result.reason) for result in denied] == [(decisive.check, decisive.reason)]
        assert decide(changed).reason is decisive.reason


def test_the_ledgers_side_is_compared_before_its_quantity() -> None:
    assert decide(case(ledger=ledger("-5"))).reason is Reason.RECONCILE_REQUIRED_SIDE_MISMATCH


def test_guardrails_come_after_freshness_and_before_open_permits() -> None:
    everything = case(
        reconcile_close(reason="profit"), hold=True, open_permits=(open_permit(Kind.CLOSE, "SELL", "0.038"),)
    )
    stale = msgspec.structs.replace(everything, snapshot=snapshot("0.038", age_sec=60))
    assert decide(stale).reason is Reason.STALE_EXCHANGE_STATE
    assert decide(everything).reason is Reason.GUARDRAIL_VIOLATION
    within = msgspec.structs.replace(everything, plan=reconcile_close())
    assert decide(within).reason is Reason.IN_FLIGHT_PERMIT
