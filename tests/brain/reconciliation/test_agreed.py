"""Amounts and versions of an agreement, as texts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.positions.position import Leg
from brain.reconciliation.agreed import Agreed, amounts_text, has_amounts, is_before
from tests.brain.reconciliation.cases import stored


def test_versions_are_compared_as_numbers_where_they_are() -> None:
    assert is_before("9", "10") and not is_before("10", "9") and not is_before("9", "9")
    assert is_before(None, "1") and is_before("x", "1") and not is_before("x", "x")


@pytest.mark.parametrize(
    ("began", "legs"),
    [
        ("-0.5", {Leg.BOTH: Decimal("-0.5")}),
        ("2|5|-3", {Leg.LONG: Decimal(5), Leg.SHORT: Decimal(-3)}),
        ("", {}),
        ("x", {}),
        ("2|5|x", {}),
        ("2|5", {}),
        ("2|5|-3|1", {}),
    ],
)
def test_an_agreement_has_the_amounts_of_each_leg_at_its_moment(began: str, legs: dict[Leg, Decimal]) -> None:
    assert Agreed(1000, "7", "4", began).legs_before(stored("7"), "5") == legs


@pytest.mark.parametrize(
    ("amount", "version", "has_moved"),
    [("7", "4", False), ("7.0", "4", False), ("7", "5", True), ("8", "4", True), ("7", None, True)],
)
def test_amounts_matter_of_a_ledger_that_has_moved(amount: str, version: str | None, has_moved: bool) -> None:
    agreed = Agreed(1000, "7", "4", "2")
    assert bool(agreed.legs_before(stored(amount), version)) is has_moved


def test_missing_amounts_stand_for_zero() -> None:
    assert has_amounts(stored("0"), amounts_text("0", "0", "0"))
    assert not has_amounts(stored("0"), amounts_text("0", "1", "-1"))
