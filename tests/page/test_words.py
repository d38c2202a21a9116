from __future__ import annotations

import pytest

from page.words import duration, iso_moment, moment, time_of_day


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.00 s"),
        (0.994, "0.99 s"),
        (0.996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
        (86_400 * 3 + 3600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_a_duration_is_shown_with_about_three_digits(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_moments_are_shown_in_utc() -> None:
    assert moment(1_790_000_000_250) == "2026-09-21 14:13:20 UTC"
    assert time_of_day(1_790_000_000_250) == "14:13:20.250"
    assert iso_moment("2026-09-21T14:13:20.250Z") == "2026-09-21 14:13:20 UTC"
    assert iso_moment(None) == "–"
