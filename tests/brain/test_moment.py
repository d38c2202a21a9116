"""Moments: two clocks that never mix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from brain.moment import Moment

THEN = Moment(100.0, 1_760_000_000_000)
moments = st.builds(Moment, st.floats(0, 1e9), st.integers(0, 2**43))


def test_the_age_is_the_larger_of_both_clocks_differences() -> None:
    assert THEN.age_sec(Moment(102.0, THEN.wall_ms + 1500)) == 2.0
    assert THEN.age_sec(Moment(101.0, THEN.wall_ms + 60_000)) == 60.0


def test_a_clock_set_back_makes_nothing_younger() -> None:
    assert THEN.age_sec(Moment(107.0, THEN.wall_ms - 3_600_000)) == 7.0


def test_an_age_is_never_negative() -> None:
    assert THEN.age_sec(Moment(99.0, THEN.wall_ms - 1000)) == 0.0


def test_earlier_by_moves_both_clocks() -> None:
    assert THEN.earlier_by(0.25) == Moment(99.75, 1_759_999_999_750)


@given(moments, moments, st.floats(0, 1e6))
def test_an_earlier_verification_is_never_younger(verified: Moment, now: Moment, seconds: float) -> None:
    assert verified.earlier_by(seconds).age_sec(now) >= verified.age_sec(now)
