"""Hedge mode: each leg is a position of its own, and the plan must say which."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brain.decisions.case import Case, SnapshotView
from brain.decisions.decision import decide
from brain.ledger.ledger import StoredLedger
from brain.plans.permit import Kind, Reason
from brain.plans.plan import Plan, Side
from brain.positions.position import Leg, LegPosition, PositionSide
from tests.brain.cases import NOW_MS, case, entry, hedged, open_permit, plan, reconcile_close

BOTH_LEGS = StoredLedger(last_known_amt="0.018", long_amt="0.038", short_amt="-0.02")


def hedge_case(the_plan: Plan, **changes: Any) -> Case:
    """LONG 0.038 and SHORT 0.020, in the exchange and in the ledger."""
    usual: dict[str, Any] = {"hedge_mode": True, "snapshot": hedged("0.038", "-0.020"), "ledger": BOTH_LEGS}
    return case(the_plan, **usual | changes)


def full(side: Side | None, leg: Leg | None, *, reduce_only: bool | None = None) -> Plan:
    return plan(action="FULL_CLOSE_PROPOSED", side=side, leg=leg, reduce_only=reduce_only)


@pytest.mark.parametrize("side", [Side.SELL, Side.CLOSE, None])
@pytest.mark.parametrize("leg", [None, Leg.BOTH])
def test_a_plan_that_names_no_leg_is_denied(side: Side | None, leg: Leg | None) -> None:
    assert decide(hedge_case(full(side, leg))).reason is Reason.POSITION_SIDE_REQUIRED


def test_a_snapshot_with_legs_is_hedge_mode_whatever_else_is_known() -> None:
    for known in (None, False):
        assert decide(hedge_case(full(Side.SELL, None), hedge_mode=known)).reason is (
            Reason.POSITION_SIDE_REQUIRED
        )


@pytest.mark.parametrize(
    ("leg", "side", "quantity", "order_side", "position_side"),
    [
        (Leg.LONG, Side.SELL, "0.038", "SELL", PositionSide.LONG),
        (Leg.LONG, Side.CLOSE, "0.038", "SELL", PositionSide.LONG),
        (Leg.SHORT, Side.BUY, "0.020", "BUY", PositionSide.SHORT),
        (Leg.SHORT, None, "0.020", "BUY", PositionSide.SHORT),
    ],
)
def test_a_close_closes_its_own_leg(
    leg: Leg, side: Side | None, quantity: str, order_side: str, position_side: PositionSide
) -> None:
    decision = decide(hedge_case(full(side, leg)))
    assert decision.reason is Reason.SANITY_CHECKS_PASSED
    assert (decision.leg, decision.quantity) == (leg, Decimal(quantity))
    assert (decision.order_side, decision.position_side) == (order_side, position_side)


@pytest.mark.parametrize(("leg", "side"), [(Leg.LONG, Side.BUY), (Leg.SHORT, Side.SELL)])
def test_a_reduce_only_order_along_its_leg_is_denied(leg: Leg, side: Side) -> None:
    decision = decide(hedge_case(full(side, leg, reduce_only=True)))
    assert decision.reason is Reason.REDUCE_ONLY_SIDE_MISMATCH


@pytest.mark.parametrize(
    ("leg", "side", "quantity", "snapshot", "expected"),
    [
        (Leg.LONG, Side.BUY, "0.01", hedged("0", "-0.020"), Kind.OPEN),
        (Leg.SHORT, Side.SELL, "0.01", hedged("0.038", "0"), Kind.OPEN),
        (Leg.LONG, Side.BUY, "0.01", hedged("0.038", "-0.020"), Kind.ADD),
        (Leg.SHORT, Side.SELL, "0.01", hedged("0.038", "-0.020"), Kind.ADD),
        (Leg.LONG, Side.SELL, "0.01", hedged("0.038", "-0.020"), Kind.CLOSE),
        (Leg.SHORT, Side.BUY, "0.02", hedged("0.038", "-0.020"), Kind.CLOSE),
        (Leg.LONG, Side.SELL, "0.039", hedged("0.038", "-0.020"), Reason.WOULD_FLIP_POSITION),
        (Leg.LONG, Side.SELL, "0.01", hedged("0", "-0.020"), Reason.NO_POSITION),
        (Leg.SHORT, Side.BUY, "0.01", hedged("0.038", "0"), Reason.NO_POSITION),
    ],
)
def test_an_order_without_reduce_only_is_seen_from_its_leg(
    leg: Leg, side: Side, quantity: str, snapshot: SnapshotView, expected: Kind | Reason
) -> None:
    long, short = snapshot.legs
    ledger = StoredLedger(str(long.amount + short.amount), None, None, str(long.amount), str(short.amount))
    decision = decide(hedge_case(entry(side, quantity, leg=leg), snapshot=snapshot, ledger=ledger))
    if isinstance(expected, Kind):
        assert (decision.allow, decision.kind, decision.leg) == (True, expected, leg), decision
    else:
        assert decision.reason is expected


def test_a_permit_of_the_other_leg_takes_nothing() -> None:
    permits = (open_permit(Kind.CLOSE, "BUY", "0.020", leg=Leg.SHORT),)
    assert decide(hedge_case(full(Side.SELL, Leg.LONG), open_permits=permits)).quantity == Decimal("0.038")
    assert decide(hedge_case(full(Side.BUY, Leg.SHORT), open_permits=permits)).reason is (
        Reason.IN_FLIGHT_PERMIT
    )


@pytest.mark.parametrize(
    ("ledger", "says"),
    [
        (StoredLedger(last_known_amt="0.018"), "does not tell its legs"),
        (StoredLedger("0.05", None, None, "0.038", "-0.02"), "its legs do not add up to last_known_amt"),
        (StoredLedger("0.018", None, None, "0.038", "two"), "unreadable: short_amt"),
    ],
)
def test_a_ledger_that_says_nothing_of_the_leg_denies(ledger: StoredLedger, says: str) -> None:
    decision = decide(hedge_case(full(Side.SELL, Leg.LONG), ledger=ledger))
    assert decision.reason is Reason.RECONCILE_REQUIRED_QTY_MISMATCH
    assert str(decision.details["ledger"]).startswith(says)


@pytest.mark.parametrize(
    "ledger", [StoredLedger(last_known_amt="0.038"), StoredLedger("0.038", None, None, "0.05", "0")]
)
def test_a_corrected_sum_gives_the_leg_where_the_other_leg_of_the_exchange_is_flat(
    ledger: StoredLedger,
) -> None:
    case = hedge_case(full(Side.SELL, Leg.LONG), snapshot=hedged("0.038", "0"), ledger=ledger)
    assert decide(case).quantity == Decimal("0.038")
    closing_short = hedge_case(
        full(Side.BUY, Leg.SHORT), snapshot=hedged("0", "-0.02"), ledger=StoredLedger("-0.02")
    )
    assert decide(closing_short).quantity == Decimal("0.02")


@pytest.mark.parametrize(
    ("amounts", "total"),
    [(("0.038", "0"), "-0.038"), (("0", "-0.038"), "0.038"), (("0", "0"), "0.038")],
    ids=["of the other side", "of the other side, short", "of an unknown leg"],
)
def test_a_sum_that_fits_no_leg_of_the_exchange_denies(amounts: tuple[str, str], total: str) -> None:
    opening = hedge_case(
        entry(leg=Leg.LONG), snapshot=hedged(*amounts), ledger=StoredLedger(last_known_amt=total)
    )
    assert not decide(opening).allow


def test_a_flat_ledger_without_legs_is_flat_on_both() -> None:
    opening = hedge_case(
        entry(leg=Leg.LONG), snapshot=hedged("0", "0"), ledger=StoredLedger(last_known_amt="0")
    )
    assert decide(opening).reason is Reason.OPEN_PERMIT_GRANTED


def test_legs_that_cancel_out_are_still_positions() -> None:
    ledger = StoredLedger("0", None, None, "0.038", "-0.038")
    outside = hedge_case(
        full(Side.SELL, Leg.LONG), snapshot=hedged("0.038", "-0.038"), ledger=ledger, in_allowlist=False
    )
    assert decide(outside).quantity == Decimal("0.038")


def test_the_allowlist_looks_at_the_leg_of_the_plan() -> None:
    outside = hedge_case(full(Side.BUY, Leg.SHORT), snapshot=hedged("0.038", "0"), in_allowlist=False)
    assert decide(outside).reason is Reason.SYMBOL_NOT_IN_ALLOWLIST


def test_a_one_way_position_under_hedge_mode_is_not_what_is() -> None:
    switched = SnapshotView((LegPosition(Leg.BOTH, Decimal("0.038"), Decimal(1), 1),), NOW_MS, 0.5)
    decision = decide(hedge_case(full(Side.SELL, Leg.LONG), snapshot=switched))
    assert decision.reason is Reason.STALE_EXCHANGE_STATE
    empty = LegPosition(Leg.BOTH, Decimal(0), Decimal(0), 0)
    three_rows = SnapshotView((empty, *hedged("0.038", "-0.020").legs), NOW_MS, 0.5)
    assert decide(hedge_case(full(Side.SELL, Leg.LONG), snapshot=three_rows)).allow


def test_a_reconcile_close_is_held_to_its_leg() -> None:
    closing = reconcile_close(side=Side.BUY, leg=Leg.SHORT, quantity=Decimal("0.021"))
    assert decide(hedge_case(closing, hold=True)).reason is Reason.GUARDRAIL_VIOLATION
    closing = reconcile_close(side=Side.BUY, leg=Leg.SHORT, quantity=Decimal("0.020"))
    assert decide(hedge_case(closing, hold=True)).reason is Reason.RECONCILE_CLOSE_BYPASS
