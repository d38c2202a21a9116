"""Inputs of a judgement out of a plan's fields, and its order at a position."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.governor.plan_inputs import (
    PlannedOrder,
    observed_as,
    planned_order,
    read_kill_score,
    read_leverage,
    read_score,
)
from brain.plans.permit import Kind
from brain.plans.plan import Plan, Side
from brain.positions.position import Leg
from tests.brain.cases import entry, hedged, plan, snapshot


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"0", 0.0), (b"1", 1.0), (b"0.30", 0.3), (b" 1e-3 ", 0.001), (b"-0.0", 0.0), (b"1.0000", 1.0)],
)
def test_a_score_from_nothing_to_one_is_read(text: bytes, value: float) -> None:
    score = read_kill_score({b"kill_score": text})
    assert (str(score.value), score.problem) == (str(value), "")


@pytest.mark.parametrize(
    "text", [b"1.0001", b"-0.1", b"nan", b"inf", b"high", b"\xff", b"1e999", b"0x1", b"1_0"]
)
def test_another_text_is_unreadable(text: bytes) -> None:
    score = read_kill_score({b"kill_score": text})
    assert score.value is None
    assert score.problem


@pytest.mark.parametrize(
    "fields", [{}, {b"kill_score": b""}, {b"kill_score": b"None"}, {b"kill_score": b"null"}]
)
def test_a_missing_score_is_no_problem(fields: dict[bytes, bytes]) -> None:
    assert read_kill_score(fields) == (None, "")


@given(
    st.dictionaries(st.sampled_from([b"kill_score", b"leverage", b"action", b"side"]), st.binary(max_size=80))
)
def test_any_bytes_are_read_without_an_error(fields: dict[bytes, bytes]) -> None:
    score = read_score(fields, b"kill_score")
    assert score.value is None or 0 <= score.value <= 1
    read_leverage(fields)
    assert observed_as(fields) in {"entry", "exit"}


def test_leverage_is_exact() -> None:
    assert read_leverage({b"leverage": b"12.5"}) == Decimal("12.5")
    assert read_leverage({b"leverage": b"5e0001"}) == 50
    assert read_leverage({b"leverage": b"1" + b"0" * 41}) == Decimal("1e41")
    assert read_leverage({b"leverage": b"1e-99999999999999999999"}) == 0
    assert read_leverage({b"leverage": b"much"}) is None
    assert read_leverage({}) is None


@pytest.mark.parametrize(
    ("fields", "eval_type"),
    [
        ({b"decision": b"SKIP", b"action": b"ENTRY_PROPOSED", b"side": b"BUY"}, "entry"),
        ({b"decision": b"HOLD"}, "entry"),
        ({b"decision": b"SKIP", b"reduceOnly": b"True"}, "exit"),
        ({b"decision": b"BLOCKED", b"action": b"PARTIAL_50"}, "exit"),
        ({b"decision": b"BLOCKED", b"action": b"UPDATE_SL"}, "exit"),
        ({b"decision": b"SKIP", b"side": b"close"}, "exit"),
        ({b"decision": b"RECONCILE_CLOSE"}, "exit"),
    ],
)
def test_a_plan_that_is_not_judged_is_observed_by_its_own_fields(
    fields: dict[bytes, bytes], eval_type: str
) -> None:
    assert observed_as(fields) == eval_type


@pytest.mark.parametrize(
    ("the_plan", "amount", "expected"),
    [
        (entry(quantity="0.01"), "0", PlannedOrder(Kind.OPEN, True, Leg.BOTH, Decimal("0.01"))),
        (entry(quantity="0.01"), "0.5", PlannedOrder(Kind.ADD, True, Leg.BOTH, Decimal("0.01"))),
        (entry(Side.SELL, "0.01"), "0.5", PlannedOrder(Kind.CLOSE, True, Leg.BOTH, Decimal("0.01"))),
        (entry(Side.SELL, "1"), "0.5", PlannedOrder(Kind.OPEN, False, Leg.BOTH, Decimal(1))),
        (plan(action="FULL_CLOSE"), "0.5", PlannedOrder(Kind.CLOSE, True, Leg.BOTH, Decimal("0.5"))),
        (
            plan(action="FULL_CLOSE", quantity=Decimal("0.2")),
            "0.5",
            PlannedOrder(Kind.CLOSE, True, Leg.BOTH, Decimal("0.2")),
        ),
        (
            plan(action="PARTIAL_75", side=Side.BUY),
            "-0.5",
            PlannedOrder(Kind.CLOSE, True, Leg.BOTH, Decimal("0.375")),
        ),
        (
            plan(action="UPDATE_SL", quantity=None, reduce_only=None),
            "0.5",
            PlannedOrder(Kind.NONE, True, Leg.BOTH, Decimal(0)),
        ),
    ],
)
def test_the_position_gives_kind_and_quantity(the_plan: Plan, amount: str, expected: PlannedOrder) -> None:
    assert planned_order(the_plan, snapshot(amount).legs) == expected


@pytest.mark.parametrize(
    ("the_plan", "kind"),
    [
        (plan(), Kind.CLOSE),
        (plan(action="UPDATE_SL", quantity=None), Kind.NONE),
        (entry(), Kind.OPEN),
        (entry(Side.SELL, eval_type="EXIT"), Kind.OPEN),
    ],
)
def test_without_a_position_the_name_gives_the_kind(the_plan: Plan, kind: Kind) -> None:
    order = planned_order(the_plan, None)
    assert (order.kind, order.kind_known) == (kind, False)
    assert order.quantity == (the_plan.quantity or 0)


def test_in_hedge_mode_the_leg_decides() -> None:
    legs = hedged("0.5", "-0.2").legs
    short = planned_order(plan(action="FULL_CLOSE", side=None, leg=Leg.SHORT), legs)
    assert short == PlannedOrder(Kind.CLOSE, True, Leg.SHORT, Decimal("0.2"))
    assert planned_order(plan(), legs) == PlannedOrder(Kind.CLOSE, False, None, Decimal(0))
