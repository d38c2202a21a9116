from __future__ import annotations

import pytest

from clocks.round_trip import RoundTrip


def _observed(*answers: tuple[float, float]) -> float:
    """Return the round trip after answers that came at a time (seconds), after so many milliseconds."""
    round_trip = RoundTrip()
    for at_sec, took_ms in answers:
        round_trip.observe(at_sec - took_ms / 1000, at_sec)
    return round(round_trip.least_sec * 1000, 6)


def test_it_is_nothing_before_the_first_answer() -> None:
    assert RoundTrip().least_sec == 0


@pytest.mark.parametrize(
    ("answers", "least_ms"),
    [
        ([(100, 5.0)], 5.0),
        ([(100, 5.0), (101, 40.0), (102, 5.5)], 5.0),
        # Redis came nearer: known at once.
        ([(100, 25.0), (101, 5.0)], 5.0),
        # It went away: known when the last near answer is a minute old, and not before half of that.
        ([(100, 1.0), (129, 25.0)], 1.0),
        ([(100, 1.0), (131, 25.0)], 1.0),
        ([(100, 1.0), (131, 25.0), (161.5, 25.0)], 25.0),
        # Long silence: what was before does not count.
        ([(100, 1.0), (101, 1.0), (161, 25.0)], 25.0),
    ],
)
def test_it_is_the_least_of_the_last_minute(answers: list[tuple[float, float]], least_ms: float) -> None:
    assert _observed(*answers) == least_ms
