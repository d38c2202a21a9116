"""Exact decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brain.numbers import (
    EXACT,
    ZERO,
    NotANumberError,
    floor_to_step,
    parse_decimal,
    parse_decimal_down,
    plain,
)
from tests.brain.strategies import any_decimals

steps = st.sampled_from(("0.001", "0.01", "1", "10", "0.25", "1E-8", "3")).map(Decimal)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.038", "0.038"),
        ("-0.038", "-0.038"),
        ("+5", "5"),
        ("5.", "5"),
        ("1e-05", "0.00001"),
        ("1E+3", "1000"),
        ("0.000000000000000001", "1E-18"),
        ("1.0000000000000000000000000", "1"),
        ("999999999999999.999999999999999999", "999999999999999.999999999999999999"),
    ],
)
def test_numbers_as_people_and_programs_write_them(text: str, number: str) -> None:
    assert parse_decimal(text) == Decimal(number)
    assert parse_decimal_down(text) == Decimal(number)


@pytest.mark.parametrize("text", ["0", "-0", "0.000", "0e5", "-0.0", "0e-99"])
def test_zero_has_one_form(text: str) -> None:
    assert str(parse_decimal(text)) == str(parse_decimal_down(text)) == "0"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "NaN",
            "sNaN",
            "inf",
            "-Infinity",
            "1_000",
            "1,5",
            "0x10",
            "1 ",
            " 1",
            "1\n",
            "--1",
            ".",
            "e5",
        ),
        *("1e15", "1000000000000000", "9" * 31, "1e99", "1e100", "1e-400", ".5"),
        *("\N{FULLWIDTH DIGIT ONE}", "\N{ARABIC-INDIC DIGIT ONE}"),
    ],
)
def test_text_that_is_no_number_or_no_possible_quantity_is_refused(text: str) -> None:
    for read in (parse_decimal, parse_decimal_down):
        with pytest.raises(NotANumberError):
            read(text)


def test_more_decimals_than_a_quantity_has_are_refused_or_cut() -> None:
    text = "0.0018408917647709654"
    with pytest.raises(NotANumberError):
        parse_decimal(text)
    assert parse_decimal_down(text) == Decimal("0.001840891764770965")
    assert parse_decimal_down("-" + text) == Decimal("-0.001840891764770965")
    assert parse_decimal_down("1.9999999999999999999e-5") == Decimal("0.000019999999999999")


def test_a_quantity_is_never_cut_down_to_not_given() -> None:
    with pytest.raises(NotANumberError):
        parse_decimal_down("1e-30")


@given(st.text() | st.from_regex(r"[+-]?[0-9.eE+-]{1,40}", fullmatch=True) | st.floats().map(str))
def test_any_text_is_a_bounded_number_or_none(text: str) -> None:
    try:
        number = parse_decimal_down(text)
    except NotANumberError:
        with pytest.raises(NotANumberError):
            parse_decimal(text)
        return
    assert abs(number) < 10**15
    assert number == number.quantize(Decimal("1E-18"), context=EXACT)
    assert number.copy_abs() <= Decimal(text).copy_abs()


@given(any_decimals())
@example(Decimal("1E+3"))
@example(Decimal("1E-7"))
@example(Decimal("0E-9"))
@example(Decimal("100"))
def test_plain_text_is_read_back_exactly_and_has_no_exponent(number: Decimal) -> None:
    text = plain(number)
    assert Decimal(text) == number
    assert "e" not in text.lower()
    assert parse_decimal(text) == number
    assert "." not in text or not text.endswith(("0", "."))


@given(any_decimals().map(Decimal.copy_abs), steps)
def test_the_floor_is_the_largest_multiple_that_is_not_above(quantity: Decimal, step: Decimal) -> None:
    floored = floor_to_step(quantity, step)
    assert ZERO <= floored <= quantity
    assert EXACT.subtract(quantity, floored) < step
    assert EXACT.remainder(floored, step) == 0


@given(any_decimals(), any_decimals())
def test_sums_and_products_of_accepted_numbers_are_exact(one: Decimal, other: Decimal) -> None:
    assert EXACT.subtract(EXACT.add(one, other), other) == one
    product = EXACT.multiply(one, other)
    assert other == 0 or EXACT.divide(product, other) == one
