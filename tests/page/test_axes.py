"""Axes fit what is there, with round marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.axes import time_axis, value_axis

_VALUES = st.floats(-1e15, 1e15).filter(lambda value: value == 0 or abs(value) > 1e-6)


def texts(low: float, high: float) -> list[str]:
    return [tick.text for tick in value_axis(low, high, lambda value: f"{value:g}").ticks]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 7, ["0", "2", "4", "6", "8"]),
        (0, 0, ["0", "0.25", "0.5", "0.75", "1"]),
        (0, 41, ["0", "20", "40", "60"]),
        (12, 100, ["0", "25", "50", "75", "100"]),
        (-120, 300, ["-200", "0", "200", "400"]),
        (-5, -1, ["-6", "-4", "-2", "0"]),
    ],
)
def test_values_have_round_marks_from_zero_on(low: float, high: float, expected: list[str]) -> None:
    assert texts(low, high) == expected


@given(_VALUES, _VALUES)
def test_an_axis_holds_zero_and_both_values_and_is_not_much_longer(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    axis = value_axis(low, high, str)
    length = max(high, 0.0) - min(low, 0.0)
    assert 3 <= len(axis.ticks) <= 7
    assert axis.low <= min(low, 0.0) + length * 1e-8
    assert axis.high >= max(high, 0.0) - length * 1e-8
    assert length == 0 or axis.high - axis.low <= length * 2.26
    shares = [tick.share for tick in axis.ticks]
    assert shares[0] == pytest.approx(1) and shares[-1] == pytest.approx(0)
    assert all(0 <= axis.share(value) <= 1 for value in (low, 0.0, high))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (2, ["08:53", "08:54"]),
        (7, ["08:53", "08:54", "08:55", "08:56", "08:57", "08:58", "08:59"]),
        (60, ["09:00", "09:10", "09:20", "09:30", "09:40", "09:50"]),
        (360, ["09:00", "10:00", "11:00", "12:00", "13:00", "14:00"]),
        (1440, ["12:00", "16:00", "20:00", "00:00", "04:00", "08:00"]),
    ],
)
def test_times_have_round_marks(length: int, expected: list[str]) -> None:
    ticks = time_axis(29_333_333, 29_333_333 + length)
    assert [tick.text for tick in ticks] == expected
    assert all(0 <= tick.share < 1 for tick in ticks)
