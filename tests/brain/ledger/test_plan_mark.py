"""Marks of plans, and results that take leg and side from them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import OrderId
from brain.ledger.plan_mark import Joined, PlanMark, Settled, Unjoined, decode_mark, encode_mark, join
from brain.ledger.result import FilledOrder
from brain.plans.permit import Kind
from brain.positions.position import Leg

CLOSE_LONG = PlanMark(Leg.LONG, Kind.CLOSE, "SELL", reconcile_close=False)
MARKS = st.builds(
    PlanMark,
    leg=st.sampled_from(Leg),
    kind=st.sampled_from(Kind),
    order_side=st.sampled_from([None, "BUY", "SELL"]),
    reconcile_close=st.booleans(),
)


def order(side: str | None) -> FilledOrder:
    return FilledOrder(OrderId("17"), side, Decimal(1), "FILLED", final=True)


def test_marks_are_stored_as_short_text() -> None:
    assert encode_mark(CLOSE_LONG) == "D|LONG|close|SELL|0"
    assert encode_mark(PlanMark(Leg.BOTH, Kind.NONE, None, reconcile_close=True)) == "D|BOTH|none||1"
    assert encode_mark(Settled.SETTLED) == "S"


@given(MARKS | st.just(Settled.SETTLED))
def test_every_mark_reads_back(mark: PlanMark | Settled) -> None:
    assert decode_mark(encode_mark(mark)) == mark


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "",
        "s",
        "D",
        "D|LONG|close|SELL",
        "D|UP|close|SELL|0",
        "D|LONG|shut|SELL|0",
        "D|LONG|close|CLOSE|0",
        "D|LONG|close|SELL|2",
        "D|LONG|close|SELL|0|",
        "X|LONG|close|SELL|0",
    ],
)
def test_anything_else_is_no_mark(garbage: str | None) -> None:
    assert decode_mark(garbage) is None


def test_one_way_mode_needs_no_mark_for_an_order_with_a_side() -> None:
    assert join(order("BUY"), None, hedge_mode=False) == Joined(Leg.BOTH, "BUY", moves_ledger=True)
    assert join(order("BUY"), Settled.SETTLED, hedge_mode=False) == Joined(Leg.BOTH, "BUY", moves_ledger=True)


def test_a_missing_side_comes_from_the_decision() -> None:
    assert join(order(None), CLOSE_LONG, hedge_mode=False) == Joined(Leg.BOTH, "SELL", moves_ledger=True)


def test_the_side_that_was_executed_goes_before_the_one_decided() -> None:
    assert join(order("BUY"), CLOSE_LONG, hedge_mode=True) == Joined(Leg.LONG, "BUY", moves_ledger=True)


def test_a_reconcile_close_removes_what_the_ledger_never_had() -> None:
    mark = PlanMark(Leg.BOTH, Kind.CLOSE, "SELL", reconcile_close=True)
    assert join(order("SELL"), mark, hedge_mode=False) == Joined(Leg.BOTH, "SELL", moves_ledger=False)


@pytest.mark.parametrize(
    ("side", "mark", "hedge_mode"),
    [
        (None, None, False),
        (None, Settled.SETTLED, False),
        (None, PlanMark(Leg.BOTH, Kind.NONE, None, reconcile_close=False), False),
        ("SELL", None, True),
        ("SELL", Settled.SETTLED, True),
        ("SELL", PlanMark(Leg.BOTH, Kind.NONE, None, reconcile_close=False), True),
    ],
)
def test_an_unknown_leg_or_side_is_not_guessed(
    side: str | None, mark: PlanMark | Settled | None, hedge_mode: bool
) -> None:
    assert isinstance(join(order(side), mark, hedge_mode=hedge_mode), Unjoined)
