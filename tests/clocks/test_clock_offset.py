"""Lower bounds of the exchange clock's offset, which are never too high."""

from __future__ import annotations

from brain.moment import Moment
from clocks.clock_offset import ClockOffset


def at(ms: int, *, wall_ms: int | None = None) -> Moment:
    return Moment(ms / 1000, ms if wall_ms is None else wall_ms)


def unknown(_: Moment) -> None:
    return None


def test_without_pushes_and_server_time_the_offset_is_unknown() -> None:
    assert ClockOffset(unknown, unknown).at_least_ms(at(0)) is None


def test_the_fastest_push_of_the_last_minute_counts() -> None:
    offset = ClockOffset(unknown, unknown)
    for event_ms, received_ms in ((900, 1_000), (2_995, 3_000), (3_900, 4_000)):
        offset.observe(event_ms, at(received_ms))
    assert offset.at_least_ms(at(5_000)) == -5
    assert offset.at_least_ms(at(63_001)) == -100
    assert offset.at_least_ms(at(64_001)) is None


def test_of_pushes_and_server_time_the_larger_bound_counts() -> None:
    offset = ClockOffset(lambda now: now.wall_ms - 150, unknown)
    assert offset.at_least_ms(at(1_000)) == -150
    offset.observe(1_800, at(2_000))
    assert offset.at_least_ms(at(2_000)) == -150
    offset.observe(2_980, at(3_000))
    assert offset.at_least_ms(at(3_000)) == -20


def test_a_step_of_the_wall_clock_moves_the_offset_by_the_same() -> None:
    offset = ClockOffset(unknown, unknown)
    offset.observe(995, at(1_000))
    assert offset.at_least_ms(at(2_000, wall_ms=2_000 - 3_600_000)) == -5 + 3_600_000


def test_dates_from_before_the_exchanges_clock_was_set_back_do_not_count() -> None:
    offset = ClockOffset(lambda now: now.wall_ms - 60_100, lambda now: now.wall_ms - 60_000)
    offset.observe(995, at(1_000))
    assert offset.at_least_ms(at(2_000)) == -60_100


def test_an_impossible_date_from_before_the_server_time_was_known_does_not_count() -> None:
    known: list[int] = []
    offset = ClockOffset(
        lambda now: now.wall_ms - 150 if known else None, lambda now: now.wall_ms + 150 if known else None
    )
    offset.observe(990, at(1_000))
    offset.observe(1_760_052_799_239_000, at(2_000))
    known.append(1)
    assert offset.at_least_ms(at(3_000)) == -150
    offset.observe(3_990, at(4_000))
    assert offset.at_least_ms(at(4_000)) == -10


def test_a_date_that_is_ahead_by_less_than_a_second_raises_no_lower_bound_above_the_upper_one() -> None:
    offset = ClockOffset(lambda now: now.wall_ms - 5, lambda now: now.wall_ms + 5)
    offset.observe(1_900, at(1_000))
    assert offset.at_least_ms(at(2_000)) == 5


def test_no_date_is_later_than_the_server_time_and_a_second() -> None:
    assert ClockOffset(unknown, unknown).latest_date_ms(at(1_000)) is None
    assert ClockOffset(unknown, lambda now: now.wall_ms + 7).latest_date_ms(at(1_000)) == 2_007
