"""Rows of "Drift" in docs/contract.md: what is one, for which reason, and what is none."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.ledger.ledger import StoredLedger
from brain.numbers import plain, without_residue
from brain.plans.permit import Kind, OpenPermit
from brain.positions.position import Leg, LegPosition
from brain.reconciliation.comparing import LEGS_UNKNOWN, unseen
from brain.reconciliation.drift import Drift, DriftReason, LegAmounts, drift_numbers, drift_signature, own_sig
from tests.brain.cases import NOW_MS, open_permit
from tests.brain.reconciliation.cases import BTC, comparison, drift, drift_of, hedged, one_way, stored


@pytest.mark.parametrize(
    ("exchange", "ledger", "reason", "exceeds"),
    [
        ("1", "-1", DriftReason.SIDE_MISMATCH, True),
        ("-0.001", "0.001", DriftReason.SIDE_MISMATCH, True),
        ("1", "0", DriftReason.QTY_MISMATCH, True),
        ("0", "-1", DriftReason.QTY_MISMATCH, True),
        ("1", "2", DriftReason.QTY_MISMATCH, True),
        # The tolerance is 1 % of the larger amount: up to it, a drift does not exceed it.
        ("100", "99", DriftReason.QTY_MISMATCH, False),
        ("99", "100", DriftReason.QTY_MISMATCH, False),
        ("100", "98.999", DriftReason.QTY_MISMATCH, True),
        ("-100", "-99", DriftReason.QTY_MISMATCH, False),
        ("-98.999", "-100", DriftReason.QTY_MISMATCH, True),
        ("100", "99.999", DriftReason.QTY_MISMATCH, False),
    ],
)
def test_a_difference_of_a_step_is_a_drift(
    exchange: str, ledger: str, reason: DriftReason, exceeds: bool
) -> None:
    found = drift(exchange, ledger)
    assert (found.reason, found.exceeds, found.version) == (reason, exceeds, "7")
    assert found.drifted == (LegAmounts(Leg.BOTH, Decimal(exchange), Decimal(ledger)),)


@pytest.mark.parametrize("text", ["1.5", "1.500", "+1.5", "15e-1"])
def test_equal_values_agree_in_any_form(text: str) -> None:
    assert comparison(one_way("1.5"), stored(text)) == (True, None)


def test_less_than_a_step_is_no_drift_and_no_agreement() -> None:
    assert comparison(one_way("0.028"), stored("0.0285")) == (False, None)
    assert comparison(one_way("0.028"), stored("0.029")).drift is not None


@pytest.mark.parametrize(
    "text", ["0.30000000000000004", "0.29999999999999998", "0.3000009", "3.0000000000000004e-1"]
)
def test_the_residue_of_a_float_is_no_difference(text: str) -> None:
    assert comparison(one_way("0.3"), stored(text)) == (True, None)
    assert comparison(one_way("-0.3"), stored(f"-{text}")) == (True, None)
    assert drift_of(one_way("0.4"), stored(text)).drifted == (
        LegAmounts(Leg.BOTH, Decimal("0.4"), Decimal("0.3")),
    )


def test_a_possible_fill_of_a_finer_step_is_no_residue() -> None:
    assert comparison(one_way("0.3"), stored("0.30001")) == (False, None)
    assert drift_of(one_way("0.4"), stored("0.30001")).legs[0].ledger == Decimal("0.30001")


def test_legs_of_floats_add_up_to_their_sum() -> None:
    floats = stored(str(0.1 + 0.2 - 1.1), str(0.1 + 0.2), str(-1.1))
    assert comparison(hedged("0.3", "-1.1"), floats).agrees


@given(st.lists(st.integers(-9999, 9999), min_size=1, max_size=50), st.sampled_from(["0.001", "0.1", "1"]))
def test_the_float_sum_of_any_fills_is_their_exact_sum(steps: list[int], step: str) -> None:
    sized = [Decimal(each) * Decimal(step) for each in steps]
    summed = 0.0
    for each in sized:
        summed += float(each)
    assert without_residue(Decimal(summed), Decimal(step)) == sum(sized)


def test_without_a_known_step_any_difference_counts() -> None:
    assert comparison(one_way("0.028"), stored("0.0285"), step=None).drift is not None


BUYING = open_permit(Kind.OPEN, "BUY", "1")


@pytest.mark.parametrize(
    ("exchange", "ledger", "permits", "explained"),
    [
        ("1", "0", [BUYING], True),
        ("0.4", "0", [BUYING], True),
        ("1.001", "0", [BUYING], False),
        ("-1", "0", [BUYING], False),
        ("-1", "0", [open_permit(Kind.OPEN, "SELL", "1")], True),
        ("2", "0", [BUYING, BUYING], True),
        ("1", "0", [open_permit(Kind.OPEN, "BUY", "1", expires_ms=NOW_MS)], False),
        ("1", "0", [open_permit(Kind.OPEN, "BUY", "1", leg=Leg.LONG)], False),
        # A close that reverses the sides on its way is explained, too.
        ("-1", "1", [open_permit(Kind.CLOSE, "SELL", "2")], True),
    ],
)
def test_open_permits_explain_what_their_orders_may_have_moved(
    exchange: str, ledger: str, permits: list[OpenPermit], explained: bool
) -> None:
    agrees, found = comparison(one_way(exchange), stored(ledger), permits)
    assert not agrees
    assert (found is None) is explained


def test_each_leg_is_compared_by_itself() -> None:
    # The sums are equal, the legs are not.
    found = drift_of(hedged("2", "-2"), stored("0", "1", "-1"))
    assert [each.leg for each in found.drifted] == [Leg.LONG, Leg.SHORT]
    assert comparison(hedged("2", "-2"), stored("0", "2", "-2")).agrees


def test_a_leg_that_its_permit_explains_is_no_part_of_the_drift() -> None:
    selling = open_permit(Kind.OPEN, "SELL", "1", leg=Leg.SHORT)
    found = comparison(hedged("100", "-1"), stored("99", "99", "0"), [selling]).drift
    assert found is not None
    assert [each.leg for each in found.drifted] == [Leg.LONG]
    assert not found.exceeds
    assert [each.ignored for each in found.legs] == [False, True]


def test_opposite_signs_on_one_leg_are_a_side_mismatch() -> None:
    assert drift_of(hedged("1", "0"), stored("-1", "-1", "0")).reason is DriftReason.SIDE_MISMATCH


@pytest.mark.parametrize(
    ("ledger", "problem"),
    [
        (StoredLedger(), "missing"),
        (stored("abc"), "unreadable"),
        (stored("1", "x", None), "unreadable"),
    ],
)
def test_a_ledger_without_amounts_is_missing(ledger: StoredLedger, problem: str) -> None:
    found = drift_of(one_way("1"), ledger)
    assert (found.reason, found.exceeds) == (DriftReason.MISSING_LEDGER, False)
    assert found.problem.startswith(problem)
    assert drift_numbers(found).ledger is None


def test_a_corrected_sum_without_known_legs_is_a_missing_ledger() -> None:
    assert drift_of(hedged("2", "-1"), stored("5", "2", "-1")).problem == LEGS_UNKNOWN


def test_the_legs_of_a_corrected_sum_follow_from_a_flat_leg() -> None:
    assert comparison(hedged("3", "0"), stored("3", "1", "0")).agrees


def test_a_symbol_flat_without_a_ledger_needs_nothing() -> None:
    assert comparison(one_way("0"), StoredLedger()) == (False, None)
    assert comparison(one_way("0"), stored("unreadable")).drift is not None


@pytest.mark.parametrize(
    ("last", "ledger", "reason"),
    [
        (None, StoredLedger(), None),
        (None, stored("0"), None),
        (None, stored("1"), DriftReason.MISSING_EXCHANGE),
        (None, stored("nonsense"), DriftReason.MISSING_EXCHANGE),
        (one_way("0"), stored("0"), None),
        (one_way("0"), StoredLedger(), None),
        (one_way("1"), stored("0"), DriftReason.STALE_EXCHANGE),
        (one_way("0"), stored("1"), DriftReason.STALE_EXCHANGE),
        (one_way("1"), stored("1"), DriftReason.STALE_EXCHANGE),
        (one_way("1"), StoredLedger(), DriftReason.STALE_EXCHANGE),
        (hedged("1", "0"), stored("1", "1", "0"), DriftReason.STALE_EXCHANGE),
    ],
)
def test_an_unknown_position_matters_where_something_is_at_stake(
    last: tuple[LegPosition, ...] | None, ledger: StoredLedger, reason: DriftReason | None
) -> None:
    found = unseen(BTC, last, ledger, "7")
    assert (found and found.reason) == reason
    assert found is None or not (found.exceeds or found.reason.compares)


def test_a_signature_names_symbol_legs_amounts_and_version() -> None:
    first = drift("1", "0")
    assert drift_signature(first) == drift_signature(drift("1.000", "0"))
    assert own_sig(first) == f"p34:{drift_signature(first)}"
    assert len(drift_signature(first)) == 12
    others = [
        drift("2", "0"),
        drift("1", "0.5"),
        drift("-1", "0"),
        drift_of(hedged("1", "0"), stored("0", "0", "0")),
        drift_of(hedged("0", "1"), stored("0", "0", "0")),
        Drift(symbol=first.symbol, reason=first.reason, legs=first.legs, exceeds=True, version="8"),
    ]
    assert len({drift_signature(each) for each in [first, *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    ("exchange", "ledger", "difference", "percent"),
    [
        ("1", "0", "1", "100"),
        ("0", "1", "-1", "100"),
        ("-3", "-2", "-1", "33.3333"),
        ("1", "-1", "2", "200"),
        ("1000000", "999999.999", "0.001", "0"),
    ],
)
def test_the_numbers_of_a_drift(exchange: str, ledger: str, difference: str, percent: str) -> None:
    numbers = drift_numbers(drift(exchange, ledger))
    assert [plain(each) for each in numbers if each is not None] == [exchange, ledger, difference, percent]


def test_the_numbers_of_hedge_mode_are_those_of_the_leg_that_differs_most() -> None:
    numbers = drift_numbers(drift_of(hedged("2", "-4"), stored("0", "1", "-1")))
    assert numbers == (Decimal(-2), Decimal(0), Decimal(-3), Decimal(75))


amounts = st.decimals("-1000", "1000", places=3)


@given(amounts, amounts, st.decimals("0", "10", places=2))
def test_a_tolerated_drift_is_within_the_tolerance_on_one_side(
    exchange: Decimal, ledger: Decimal, tolerance: Decimal
) -> None:
    agrees, found = comparison(one_way(str(exchange)), stored(str(ledger)), tolerance_pct=tolerance)
    assert agrees is (exchange == ledger)
    assert (found is None) is agrees
    if found is not None and not found.exceeds:
        assert exchange * ledger > 0
        assert abs(exchange - ledger) <= tolerance / 100 * max(abs(exchange), abs(ledger))
    if found is not None and found.exceeds and exchange * ledger > 0:
        assert abs(exchange - ledger) > tolerance / 100 * max(abs(exchange), abs(ledger))
