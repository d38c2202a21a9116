"""By how much the exchange's clock is ahead: bounds that are never too high."""

from __future__ import annotations

from brain.moment import Moment
from clocks.clock_offset import ExchangeLead


def at(ms: int, *, wall_ms: int | None = None) -> Moment:
    return Moment(ms / 1000, ms if wall_ms is None else wall_ms)


def unknown(_: Moment) -> None:
    return None


def test_nothing_told_is_nothing_known() -> None:
    assert ExchangeLead(unknown, unknown).at_least_ms(at(0)) is None


def test_the_fastest_push_of_the_last_minute_counts() -> None:
    lead = ExchangeLead(unknown, unknown)
    for told_ms, received_ms in ((900, 1_000), (2_995, 3_000), (3_900, 4_000)):
        lead.observe(told_ms, at(received_ms))
    assert lead.at_least_ms(at(5_000)) == -5
    assert lead.at_least_ms(at(63_001)) == -100
    assert lead.at_least_ms(at(64_001)) is None


def test_of_pushes_and_server_time_the_one_that_says_more_counts() -> None:
    lead = ExchangeLead(lambda now: now.wall_ms - 150, unknown)
    assert lead.at_least_ms(at(1_000)) == -150
    lead.observe(1_800, at(2_000))
    assert lead.at_least_ms(at(2_000)) == -150
    lead.observe(2_980, at(3_000))
    assert lead.at_least_ms(at(3_000)) == -20


def test_a_step_of_the_wall_clock_moves_the_lead_along() -> None:
    lead = ExchangeLead(unknown, unknown)
    lead.observe(995, at(1_000))
    assert lead.at_least_ms(at(2_000, wall_ms=2_000 - 3_600_000)) == -5 + 3_600_000


def test_a_clock_that_was_set_back_is_not_taken_for_ahead_because_of_its_earlier_dates() -> None:
    lead = ExchangeLead(unknown, lambda now: now.wall_ms - 60_000)
    lead.observe(995, at(1_000))
    assert lead.at_least_ms(at(2_000)) == -59_000


def test_no_date_is_later_than_the_server_time_and_a_second() -> None:
    assert ExchangeLead(unknown, unknown).latest_date_ms(at(1_000)) is None
    assert ExchangeLead(unknown, lambda now: now.wall_ms + 7).latest_date_ms(at(1_000)) == 2_007
