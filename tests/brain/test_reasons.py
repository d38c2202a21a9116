"""The contract's table of reasons: each by example, with the numbers that a deny must show."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.decisions.case import Case
from brain.decisions.decision import decide, deny_malformed, evaluation_failed, state_contended
from brain.identifiers import PlanId
from brain.ledger.ledger import StoredLedger
from brain.plans.permit import Kind, Reason
from brain.plans.plan import MalformedPlan, Side
from tests.brain.cases import (
    BTCUSDT,
    NOW_MS,
    case,
    entry,
    hedged,
    ledger,
    open_permit,
    plan,
    reconcile_close,
    snapshot,
)

NOW_SEC = NOW_MS // 1000
NOT_TRADING = msgspec.structs.replace(BTCUSDT, trading=False)
ODD_STEP = msgspec.structs.replace(BTCUSDT, market_step=Decimal("0.01"), market_min=Decimal("0.05"))
LIVE_CLOSE = open_permit(Kind.CLOSE, "SELL", "0.038")
LIVE_OPEN = open_permit(Kind.OPEN, "BUY", "0.01")

ALLOWED = [
    (Reason.SANITY_CHECKS_PASSED, case()),
    (Reason.SANITY_CHECKS_PASSED, case(in_allowlist=False)),
    (Reason.OPEN_PERMIT_GRANTED, case(entry(), "0")),
    (Reason.OPEN_PERMIT_GRANTED, case(entry(), "0.038")),
    (Reason.RECONCILE_CLOSE_BYPASS, case(reconcile_close(), hold=True)),
    (Reason.NO_QUANTITY_CHANGE, case(plan(action="UPDATE_SL", side=None, reduce_only=None))),
]

DENIED = [
    (Reason.MALFORMED_PLAN, case(plan(reduce_only=False))),
    (Reason.MALFORMED_PLAN, case(entry(eval_type="EXIT"), "0")),
    (Reason.MALFORMED_PLAN, case(plan(eval_type="ENTRY"))),
    (Reason.MALFORMED_PLAN, case(entry(Side.SELL, eval_type="ENTRY"))),
    (Reason.MALFORMED_PLAN, case(plan(action="UPDATE_SL", eval_type="ENTRY"))),
    (Reason.PLAN_EXPIRED, case(entry_ms=NOW_MS - 5001)),
    (Reason.PLAN_EXPIRED, case(entry_ms=None)),
    (Reason.PLAN_EXPIRED, case(plan(timestamp_sec=NOW_SEC - 3601.0))),
    (Reason.PLAN_ALREADY_SETTLED, case(settled=True)),
    (Reason.RECOVERING, case(entry(), "0", redis_changed_ms=NOW_MS - 1000)),
    (Reason.RECOVERING, case(entry(), redis_changed_ms=NOW_MS - 1000)),
    (Reason.SYMBOL_NOT_ON_EXCHANGE, case(entry(), "0", symbol_rules=None)),
    (Reason.SYMBOL_NOT_ON_EXCHANGE, case(entry(), "0", symbol_rules=NOT_TRADING)),
    (Reason.SYMBOL_NOT_ON_EXCHANGE, case(entry(), symbol_rules=NOT_TRADING)),
    (Reason.SYMBOL_NOT_ON_EXCHANGE, case(symbol_rules=None)),
    (Reason.SYMBOL_NOT_IN_ALLOWLIST, case(entry(), "0", in_allowlist=False)),
    (Reason.SYMBOL_NOT_IN_ALLOWLIST, case(entry(), in_allowlist=False)),
    (Reason.SYMBOL_NOT_IN_ALLOWLIST, case(plan(), "0", in_allowlist=False)),
    (Reason.RECONCILE_HOLD_ACTIVE, case(hold=True)),
    (Reason.NO_EXCHANGE_SNAPSHOT, case(snapshot=None)),
    (Reason.NO_EXCHANGE_SNAPSHOT, case(snapshot=None, in_allowlist=False)),
    (Reason.NO_EXCHANGE_SNAPSHOT, case(exchange_known=False)),
    (Reason.NO_EXCHANGE_SNAPSHOT, case(exchange_known=False, symbol_rules=None, snapshot=None)),
    (
        Reason.NO_EXCHANGE_SNAPSHOT,
        case(exchange_known=False, symbol_rules=None, snapshot=None, in_allowlist=False),
    ),
    (
        Reason.SYMBOL_NOT_IN_ALLOWLIST,
        case(entry(), exchange_known=False, symbol_rules=None, snapshot=None, in_allowlist=False),
    ),
    (Reason.RECONCILE_HOLD_ACTIVE, case(exchange_known=False, symbol_rules=None, hold=True)),
    (Reason.STALE_EXCHANGE_STATE, case(snapshot=snapshot("0.038", age_sec=10.001))),
    (Reason.STALE_EXCHANGE_STATE, case(snapshot=snapshot("0.038", age_sec=float("nan")))),
    (Reason.STALE_EXCHANGE_STATE, case(snapshot=snapshot("0.038", trusted=False))),
    (Reason.NO_POSITION, case(plan(), "0")),
    (Reason.REDUCE_ONLY_SIDE_MISMATCH, case(plan(side=Side.BUY))),
    (Reason.WOULD_FLIP_POSITION, case(entry(Side.SELL, "0.039"))),
    (Reason.RECONCILE_REQUIRED_SIDE_MISMATCH, case(ledger=ledger("-0.038"))),
    (Reason.RECONCILE_REQUIRED_SIDE_MISMATCH, case(ledger=ledger("0"))),
    (Reason.RECONCILE_REQUIRED_SIDE_MISMATCH, case(entry(), ledger=ledger("0"))),
    (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, case(ledger=ledger("0.0376"))),
    (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, case(entry(), "0", ledger=ledger("0.001"))),
    (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, case(ledger=StoredLedger())),
    (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, case(entry(), "0", ledger=StoredLedger())),
    (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, case(ledger=ledger("0.038 BTC"))),
    (Reason.COOLDOWN_IN_FLIGHT, case(ledger=ledger("0.038", last_order_time_epoch=str(NOW_SEC - 14)))),
    (Reason.COOLDOWN_IN_FLIGHT, case(cooldown_text=str(NOW_MS - 14_999))),
    (Reason.COOLDOWN_IN_FLIGHT, case(cooldown_text="soon")),
    (Reason.COOLDOWN_IN_FLIGHT, case(entry(), "0", cooldown_text=str(NOW_MS))),
    (Reason.IN_FLIGHT_PERMIT, case(open_permits=(LIVE_CLOSE,))),
    (Reason.IN_FLIGHT_PERMIT, case(entry(), "0", open_permits=(LIVE_OPEN,))),
    (Reason.IN_FLIGHT_PERMIT, case(entry(), open_permits=(LIVE_OPEN,))),
    (Reason.IN_FLIGHT_PERMIT, case(ledger=ledger("0.048"), open_permits=(LIVE_CLOSE,))),
    (
        Reason.IN_FLIGHT_PERMIT,
        case(ledger=ledger("0"), open_permits=(open_permit(Kind.OPEN, "BUY", "0.04"),)),
    ),
    (Reason.IN_FLIGHT_PERMIT, case(entry(), "0", ledger=ledger("0.038"), open_permits=(LIVE_CLOSE,))),
    (Reason.BELOW_MIN_QTY, case(plan(), "0.001")),
    (Reason.BELOW_MIN_QTY, case(symbol_rules=ODD_STEP)),
    (Reason.BELOW_MIN_QTY, case(entry(quantity="0.0009"), "0")),
    (Reason.UNKNOWN_ACTION, case(plan(action="CLOSE_PARTIAL"))),
    (Reason.POSITION_SIDE_REQUIRED, case(snapshot=hedged("0.038", "0"), hedge_mode=True)),
    (Reason.GUARDRAIL_VIOLATION, case(reconcile_close(), hold=False)),
]


def _names(examples: list[tuple[Reason, Case]]) -> list[str]:
    return [f"{reason}-{number}" for number, (reason, _) in enumerate(examples)]


@pytest.mark.parametrize(("reason", "the_case"), ALLOWED, ids=_names(ALLOWED))
def test_an_allow_gives_its_reason(reason: Reason, the_case: Case) -> None:
    decision = decide(the_case)
    assert (decision.allow, decision.reason) == (True, reason)
    assert decision.details == {}


@pytest.mark.parametrize(("reason", "the_case"), DENIED, ids=_names(DENIED))
def test_a_deny_gives_its_reason_and_what_it_compared(reason: Reason, the_case: Case) -> None:
    decision = decide(the_case)
    assert (decision.allow, decision.reason) == (False, reason)
    assert decision.details
    assert decision.quantity == decision.reserve == 0


def test_every_reason_of_the_contract_has_an_example() -> None:
    without_a_case = {Reason.EVALUATION_FAILED, Reason.STATE_CONTENDED}
    assert {reason for reason, _ in ALLOWED + DENIED} | without_a_case == set(Reason)


def test_answers_that_come_without_a_case() -> None:
    malformed = deny_malformed(MalformedPlan(PlanId("plan-1"), None, {"symbol": "missing"}))
    assert (malformed.allow, malformed.reason) == (False, Reason.MALFORMED_PLAN)
    assert malformed.details == {"symbol": "missing"}
    assert (malformed.kind, malformed.order_side, malformed.position_side) == (Kind.NONE, None, None)
    failed = evaluation_failed(3)
    assert (failed.allow, failed.reason) == (False, Reason.EVALUATION_FAILED)
    contended = state_contended(5)
    assert (contended.allow, contended.reason) == (False, Reason.STATE_CONTENDED)
    assert contended.details == {"attempts": 5}


@pytest.mark.parametrize(
    ("the_case", "details"),
    [
        (case(entry_ms=NOW_MS - 6500), {"entry_age_sec": 6.5, "limit_sec": 5}),
        (case(entry_ms=None), {"entry_age_sec": None, "limit_sec": 5}),
        (
            case(plan(timestamp_sec=NOW_SEC - 4000.0)),
            {"timestamp_age_sec": 4000.0, "timestamp_limit_sec": 3600},
        ),
        (case(snapshot=snapshot("0.038", age_sec=12.5)), {"snapshot_age_sec": 12.5, "threshold_sec": 10}),
        (case(snapshot=snapshot("0.038", trusted=False)), {"trust_lost": True, "snapshot_age_sec": 0.5}),
        (
            case(ledger=ledger("0.03")),
            {
                "exchange_position_amt": Decimal("0.038"),
                "ledger_position_amt": Decimal("0.03"),
                "difference": Decimal("0.008"),
                "tolerance_pct": Decimal("1.0"),
            },
        ),
        (case(ledger=StoredLedger()), {"ledger": "missing", "ledger_position_amt": None}),
        (case(cooldown_text=str(NOW_MS - 4000)), {"seconds_since_exec": 4.0, "cooldown_sec": 15}),
        (case(plan(reduce_only=False)), {"reduceOnly": "false contradicts the action"}),
        (
            case(plan(), "0.001"),
            {"asked_qty": Decimal("0.00075"), "rounded_qty": 0, "market_min": Decimal("0.001")},
        ),
        (case(open_permits=(LIVE_CLOSE,)), {"open_permits_qty": Decimal("0.038"), "available_qty": 0}),
        (case(entry(), "0", open_permits=(LIVE_OPEN,)), {"open_permit": "other"}),
    ],
)
def test_details_hold_the_numbers_that_were_compared(the_case: Case, details: dict[str, Any]) -> None:
    assert decide(the_case).details.items() >= details.items()
