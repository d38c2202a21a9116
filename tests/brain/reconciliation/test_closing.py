"""A RECONCILE_CLOSE is proposed for an excess alone, and P3.3 allows what is proposed."""

from __future__ import annotations

import hmac
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.decisions.case import SnapshotView
from brain.decisions.decision import decide
from brain.identifiers import PlanId, Symbol, plan_id_text
from brain.ledger.ledger import StoredLedger
from brain.plans.permit import Reason
from brain.plans.plan import Plan, PlanDecision, Side
from brain.plans.plan_fields import read_plan
from brain.positions.position import Leg, LegPosition
from brain.reconciliation.closing import (
    ExcessClose,
    close_cooldown_bucket,
    close_plan,
    close_plan_id,
    excess_close,
)
from brain.reconciliation.drift import Drift, drift_signature
from brain.reconciliation.rules import DriftCause, ReconcileRules
from tests.brain.cases import BTCUSDT, NOW_MS, case
from tests.brain.reconciliation.cases import RULES, comparison, drift, drift_of, hedged, one_way, stored

MANUAL = (DriftCause.MANUAL,)
SECRET = "a secret of the account"


def proposed(
    found: Drift, causes: tuple[DriftCause, ...] = MANUAL, *, held_sec: float = 60, **changes: Any
) -> ExcessClose | None:
    rules: ReconcileRules = msgspec.structs.replace(RULES, **changes)
    return excess_close(found, causes, BTCUSDT, rules, held_sec=held_sec)


@pytest.mark.parametrize(
    ("exchange", "ledger", "close"),
    [
        ("3", "1", (Leg.BOTH, "SELL", Decimal(2))),
        ("-3", "-1", (Leg.BOTH, "BUY", Decimal(2))),
        ("3", "0", (Leg.BOTH, "SELL", Decimal(3))),
        ("0.0285", "0.01", (Leg.BOTH, "SELL", Decimal("0.018"))),
        # No more than one order takes.
        ("500", "1", (Leg.BOTH, "SELL", Decimal(120))),
        # A partial liquidation has left less than the ledger has: nothing may be sold.
        ("1", "3", None),
        ("0", "3", None),
        ("1", "-1", None),
        ("-3", "1", None),
        ("3.0009", "3", None),
    ],
)
def test_only_what_the_exchange_holds_beyond_the_ledger_is_closed(
    exchange: str, ledger: str, close: tuple[Leg, str, Decimal] | None
) -> None:
    found = comparison(one_way(exchange), stored(ledger), step=None).drift
    assert found is not None
    assert proposed(found) == close


@pytest.mark.parametrize("cause", DriftCause)
def test_only_outside_and_unexplained_drifts_are_closed(cause: DriftCause) -> None:
    closable = {DriftCause.MANUAL, DriftCause.NONE, DriftCause.RECONCILE_CLOSE}
    assert (proposed(drift("3", "1"), (cause,)) is not None) is (cause in closable)
    assert (proposed(drift("3", "1"), (DriftCause.MANUAL, cause)) is not None) is (cause in closable)


def test_a_close_waits_for_its_time_and_its_setting() -> None:
    assert proposed(drift("3", "1"), held_sec=59.9) is None
    assert proposed(drift("3", "1"), closes_excess=False) is None
    assert excess_close(drift("3", "1"), MANUAL, None, RULES, held_sec=60) is None


def test_the_leg_with_the_excess_is_closed() -> None:
    found = drift_of(hedged("1", "-3"), stored("1", "2", "-1"))
    assert proposed(found) == (Leg.SHORT, "BUY", Decimal(2))


def test_a_leg_that_its_permit_explains_is_not_closed() -> None:
    found = drift_of(hedged("1", "-3"), stored("1", "2", "-1"))
    ignored = tuple(msgspec.structs.replace(each, ignored=each.leg is Leg.SHORT) for each in found.legs)
    assert proposed(msgspec.structs.replace(found, legs=ignored)) is None


def test_the_plan_has_the_guardrails_and_a_signature() -> None:
    found = drift("3", "1")
    fields = close_plan(found, ExcessClose(Leg.BOTH, "SELL", Decimal("2.0")), at_ms=NOW_MS, secret=SECRET)
    sig = drift_signature(found)
    text = f"reconclose:BTCUSDT:{sig}:{NOW_MS}|BTCUSDT|2|{NOW_MS}|{sig}"
    assert fields == {
        "plan_id": f"reconclose:BTCUSDT:{sig}:{NOW_MS}",
        "symbol": "BTCUSDT",
        "decision": "RECONCILE_CLOSE",
        "action": "FULL_CLOSE_PROPOSED",
        "side": "SELL",
        "type": "MARKET",
        "qty": "2",
        "reduceOnly": "true",
        "reason": "reconcile_drift",
        "source": "p3.4",
        "signature": sig,
        "exchange_amt": "3",
        "ledger_amt": "1",
        "ts": str(NOW_MS),
        "timestamp": str(NOW_MS // 1000),
        "hmac": hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest(),
    }


def test_without_a_secret_nothing_is_signed() -> None:
    fields = close_plan(drift("3", "1"), ExcessClose(Leg.BOTH, "SELL", Decimal(2)), at_ms=NOW_MS, secret="")
    assert "hmac" not in fields


def test_any_symbol_gives_a_plan_id() -> None:
    plan_id = close_plan_id(Symbol("币安人生USDT"), "0123456789ab", NOW_MS)
    assert plan_id_text(plan_id.encode()) == plan_id


def test_the_cooldown_key_changes_every_two_minutes() -> None:
    start = NOW_MS // 120_000 * 120_000
    assert close_cooldown_bucket(start) == close_cooldown_bucket(start + 119_999)
    assert close_cooldown_bucket(start) != close_cooldown_bucket(start + 120_000)


amounts = st.decimals("-200", "200", places=3).map(lambda amount: amount + 0)


@given(amounts, amounts, amounts, amounts, st.booleans())
def test_p33_allows_all_that_is_proposed(
    exchange: Decimal, ledger: Decimal, other: Decimal, others: Decimal, hedge_mode: bool
) -> None:
    legs: tuple[LegPosition, ...] = one_way(str(exchange))
    kept = stored(str(ledger))
    if hedge_mode:
        legs = hedged(str(abs(exchange)), str(-abs(other)))
        kept = stored(str(abs(ledger) - abs(others)), str(abs(ledger)), str(-abs(others)))
    found = comparison(legs, kept).drift
    close = None if found is None else proposed(found)
    if found is None or close is None:
        return
    fields = close_plan(found, close, at_ms=NOW_MS, secret=SECRET)
    plan = read_plan({name.encode(): value.encode() for name, value in fields.items()})
    assert plan == Plan(
        plan_id=PlanId(fields["plan_id"]),
        symbol=Symbol("BTCUSDT"),
        decision=PlanDecision.RECONCILE_CLOSE,
        action="FULL_CLOSE_PROPOSED",
        side=Side(close.side),
        quantity=close.quantity,
        reduce_only=True,
        leg=close.leg if hedge_mode else None,
        order_type="MARKET",
        source="p3.4",
        reason="reconcile_drift",
        eval_type="",
        timestamp_sec=NOW_MS / 1000,
    )
    answer = decided(plan, legs, kept)
    assert (answer.reason, answer.leg) == (Reason.RECONCILE_CLOSE_BYPASS, close.leg)
    assert answer.quantity == close.quantity
    before = next(row.amount for row in legs if row.leg is close.leg)
    wanted = next(each.ledger for each in found.legs if each.leg is close.leg)
    after = before + (close.quantity if close.side == "BUY" else -close.quantity)
    # It never goes beyond the ledger's amount.
    assert abs(after) >= abs(wanted)
    assert after * before >= 0


def decided(plan: Plan, legs: tuple[LegPosition, ...], kept: StoredLedger) -> Any:
    snapshot = SnapshotView(legs, NOW_MS - 500, 0.5)
    hedge_mode = legs[0].leg is not Leg.BOTH
    return decide(case(plan, hold=True, snapshot=snapshot, ledger=kept, hedge_mode=hedge_mode))
