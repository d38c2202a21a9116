from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from brain.sliding_counts import SlidingCounts

HOUR_SEC = 3600


def test_an_event_is_counted_until_its_window_has_passed() -> None:
    counts = SlidingCounts(HOUR_SEC)
    counts.count("no_position", 1000)
    counts.count("no_position", 1003)
    counts.count("sanity_checks_passed", 1200)
    assert counts.within(300, 1200) == {"no_position": 2, "sanity_checks_passed": 1}
    assert counts.within(300, 1299.9) == {"no_position": 2, "sanity_checks_passed": 1}
    assert counts.within(300, 1304) == {"sanity_checks_passed": 1}
    assert counts.within(300, 2000) == {}
    assert counts.within(HOUR_SEC, 2000) == {"no_position": 2, "sanity_checks_passed": 1}
    assert counts.within(HOUR_SEC, 10_000) == {}
    assert counts.since_start() == {"no_position": 2, "sanity_checks_passed": 1}


def test_memory_does_not_grow_with_time_nor_with_what_happens() -> None:
    counts = SlidingCounts(HOUR_SEC)
    for second in range(0, 10 * HOUR_SEC, 2):
        counts.count("no_position", second)
    assert len(counts) <= HOUR_SEC / 5
    assert counts.since_start() == {"no_position": 5 * HOUR_SEC}


@given(
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from("abc")), max_size=80),
    st.sampled_from((60, 300)),
    st.floats(-10, 10),
)
def test_a_window_holds_nothing_older_and_at_most_five_seconds_less(
    steps: list[tuple[float, str]], window_sec: int, beyond_sec: float
) -> None:
    counts = SlidingCounts(300)
    moments: list[tuple[float, str]] = []
    now_sec = 77.7
    for step_sec, name in steps:
        now_sec += step_sec
        counts.count(name, now_sec)
        moments.append((now_sec, name))
    now_sec += window_sec + beyond_sec  # so that what happened last is at the window's end
    counted = counts.within(window_sec, now_sec)
    assert counted <= Counter(name for at, name in moments if at > now_sec - window_sec)
    assert counted >= Counter(name for at, name in moments if at > now_sec - window_sec + 5)


def test_a_history_in_steps_has_every_count_in_its_place() -> None:
    counts = SlidingCounts(HOUR_SEC)
    counts.count("oldest", 1000)
    counts.count("old", 1004)
    counts.count("old", 1005)
    counts.count("new", 1295)
    steps = counts.steps(5, 60, 1299)
    assert len(steps) == 60
    assert (steps[0], steps[1], steps[59]) == ({"oldest": 1, "old": 1}, {"old": 1}, {"new": 1})
    assert not any(steps[2:59])
    assert counts.steps(5, 60, 1300)[0] == {"old": 1}


def test_a_history_in_longer_steps_adds_up_to_the_same() -> None:
    counts = SlidingCounts(HOUR_SEC)
    for second in range(0, HOUR_SEC, 7):
        counts.count("no_position", second)
    steps = counts.steps(60, 60, HOUR_SEC - 1)
    assert sum(step["no_position"] for step in steps) == len(range(0, HOUR_SEC, 7))
    assert {step["no_position"] for step in steps} == {8, 9}
