"""The contract's kind table, each row by example, and that the table answers every combination once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.decisions.decision import decide
from brain.plans.kinds import TABLE, closes_by_name, contradiction, percent_of, unfold
from brain.plans.permit import Kind, Reason
from brain.plans.plan import Plan, PlanDecision, Side
from tests.brain.cases import case, plan

OPEN, ADD, CLOSE, NONE = Kind.OPEN, Kind.ADD, Kind.CLOSE, Kind.NONE
BUY, SELL, CLOSE_SIDE = Side.BUY, Side.SELL, Side.CLOSE
MISMATCH = Reason.REDUCE_ONLY_SIDE_MISMATCH
MALFORMED = Reason.MALFORMED_PLAN
FLIP = Reason.WOULD_FLIP_POSITION
NO_POSITION = Reason.NO_POSITION
UNKNOWN = Reason.UNKNOWN_ACTION

# action, reduceOnly, side, quantity, position: allowed as this kind, or denied with this reason
KIND_TABLE = [
    # FULL*, CLOSE*, PARTIAL* | true, or missing | CLOSE, or reducing | any: close
    ("FULL_CLOSE_PROPOSED", True, SELL, None, "0.038", CLOSE),
    ("FULL_CLOSE_PROPOSED", None, BUY, None, "-0.038", CLOSE),
    ("FULL_CLOSE_PROPOSED", True, CLOSE_SIDE, None, "-0.038", CLOSE),
    ("FULL_CLOSE_PROPOSED", None, None, None, "0.038", CLOSE),
    ("CLOSE_FULL", True, SELL, None, "0.038", CLOSE),
    ("PARTIAL_75", True, SELL, None, "0.038", CLOSE),
    ("CLOSE_PARTIAL_50", None, CLOSE_SIDE, None, "0.038", CLOSE),
    ("CLOSE_PARTIAL", True, SELL, "0.01", "0.038", CLOSE),
    ("PARTIAL_75", True, SELL, None, "0", NO_POSITION),
    ("PARTIAL_75", True, CLOSE_SIDE, None, "0", NO_POSITION),
    ("CLOSE_PARTIAL", True, SELL, None, "0.038", UNKNOWN),
    # the same | true | not reducing | non-zero: mismatch
    ("FULL_CLOSE_PROPOSED", True, BUY, None, "0.038", MISMATCH),
    ("PARTIAL_50", True, SELL, None, "-0.038", MISMATCH),
    ("CLOSE_FULL", None, BUY, None, "0.038", MISMATCH),
    # the same | false: malformed
    ("FULL_CLOSE_PROPOSED", False, SELL, None, "0.038", MALFORMED),
    ("PARTIAL_75", False, CLOSE_SIDE, None, "0", MALFORMED),
    # ENTRY_PROPOSED, or no action | false, quantity > 0 | BUY/SELL | flat: open
    ("ENTRY_PROPOSED", False, BUY, "0.01", "0", OPEN),
    ("", False, SELL, "0.01", "0", OPEN),
    # ... | along the position | non-zero: add
    ("ENTRY_PROPOSED", False, BUY, "0.01", "0.038", ADD),
    ("", False, SELL, "0.01", "-0.038", ADD),
    # ... | against the position | >= quantity: close of that quantity
    ("ENTRY_PROPOSED", False, SELL, "0.038", "0.038", CLOSE),
    ("", False, BUY, "0.01", "-0.038", CLOSE),
    # ... | against the position | < quantity: flip
    ("ENTRY_PROPOSED", False, SELL, "0.039", "0.038", FLIP),
    ("", False, BUY, "1", "-0.038", FLIP),
    # ENTRY_PROPOSED | missing, or no positive quantity, or no BUY/SELL: malformed
    ("ENTRY_PROPOSED", None, BUY, "0.01", "0", MALFORMED),
    ("ENTRY_PROPOSED", False, BUY, None, "0", MALFORMED),
    ("ENTRY_PROPOSED", False, CLOSE_SIDE, "0.01", "0.038", MALFORMED),
    ("ENTRY_PROPOSED", False, None, "0.01", "0", MALFORMED),
    ("ENTRY_PROPOSED", True, SELL, "0.01", "0.038", MALFORMED),
    ("", None, BUY, "0.01", "0", MALFORMED),
    ("", False, BUY, None, "0", MALFORMED),
    # no action, or an unknown one | true, quantity > 0 | reducing or CLOSE: close of that quantity
    ("", True, SELL, "0.01", "0.038", CLOSE),
    ("TRIM", True, CLOSE_SIDE, "0.01", "-0.038", CLOSE),
    ("TRIM", True, SELL, "0.01", "0", NO_POSITION),
    ("TRIM", True, BUY, "0.01", "0.038", MISMATCH),
    ("TRIM", True, None, "0.01", "0.038", MALFORMED),
    # no action, or an unknown one | true, no quantity: unknown_action
    ("", True, SELL, None, "0.038", UNKNOWN),
    ("TRIM", True, SELL, None, "0", UNKNOWN),
    # an unknown one | false or missing: malformed
    ("TRIM", False, SELL, "0.01", "0.038", MALFORMED),
    ("TRIM", None, SELL, "0.01", "0.038", MALFORMED),
    # UPDATE_SL | | | non-zero: none; with a quantity: malformed
    ("UPDATE_SL", True, SELL, None, "0.038", NONE),
    ("UPDATE_SL", None, None, None, "-0.038", NONE),
    ("UPDATE_SL", None, None, None, "0", NO_POSITION),
    ("UPDATE_SL", True, SELL, "0.01", "0.038", MALFORMED),
]


@pytest.mark.parametrize(("action", "reduce_only", "side", "quantity", "position", "expected"), KIND_TABLE)
def test_a_plan_is_of_the_kind_that_the_contract_says(
    action: str,
    reduce_only: bool | None,
    side: Side | None,
    quantity: str | None,
    position: str,
    expected: Kind | Reason,
) -> None:
    asked = None if quantity is None else Decimal(quantity)
    decision = decide(case(plan(action=action, reduce_only=reduce_only, side=side, quantity=asked), position))
    if isinstance(expected, Kind):
        assert (decision.allow, decision.kind) == (True, expected), decision
        covered = asked if action in ("ENTRY_PROPOSED", "") or action == "TRIM" else decision.quantity
        assert decision.quantity == (covered if expected is CLOSE else 0)
    else:
        assert (decision.allow, decision.reason) == (False, expected), decision


def test_every_combination_has_one_row() -> None:
    assert len(unfold(TABLE)) == 5 * 3 * 2 * 4 * 3


def test_a_table_with_a_gap_or_an_overlap_is_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        unfold(TABLE[1:])
    with pytest.raises(ValueError, match="two rows"):
        unfold((*TABLE, TABLE[0]))


def test_a_malformed_plan_is_malformed_whatever_the_position() -> None:
    for row in TABLE:
        if row.outcome is Reason.MALFORMED_PLAN:
            assert row.position is type(row.position).ANY
            assert row.field
            assert row.problem


def test_a_contradiction_names_the_field() -> None:
    row = contradiction(plan(action="FULL_CLOSE_PROPOSED", reduce_only=False))
    assert row is not None
    assert row.field == "reduceOnly"
    assert contradiction(plan()) is None


@pytest.mark.parametrize(
    ("closing", "only"),
    [
        (plan(action="", reduce_only=True), True),
        (plan(action="", reduce_only=None, side=CLOSE_SIDE), True),
        (plan(action="CLOSE_FULL", reduce_only=None), True),
        (plan(action="UPDATE_SL", reduce_only=None), True),
        (plan(action="", reduce_only=None, decision=PlanDecision.RECONCILE_CLOSE), True),
        (plan(action="", reduce_only=None), False),
        (plan(action="ENTRY_PROPOSED", reduce_only=False), False),
    ],
)
def test_a_plan_that_can_only_close_is_known_by_its_fields(closing: Plan, only: bool) -> None:
    assert closes_by_name(closing) is only


@pytest.mark.parametrize(
    ("action", "percent"),
    [
        ("FULL_CLOSE_PROPOSED", 100),
        ("CLOSE_FULL", 100),
        ("PARTIAL_75", 75),
        ("CLOSE_PARTIAL_75", 75),
        ("PARTIAL_50", 50),
        ("CLOSE_PARTIAL_50", 50),
        ("CLOSE_PARTIAL", None),
        ("PARTIAL_25", None),
        ("TRIM_50", None),
        ("", None),
    ],
)
def test_a_closing_action_says_how_much(action: str, percent: int | None) -> None:
    assert percent_of(action) == percent
