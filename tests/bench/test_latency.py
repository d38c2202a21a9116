from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency import intended_sec, open_loop_latencies, percentile


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() -> None:
    ordered = [float(number) for number in range(1, 1001)]
    assert percentile(ordered, 0.5) == 500
    assert percentile(ordered, 0.99) == 990
    assert percentile(ordered, 0.999) == 999
    assert percentile(ordered[:100], 0.07) == 7
    assert percentile(ordered, 1) == 1000


def test_of_few_values_a_high_percentile_is_the_largest() -> None:
    assert percentile([1.0, 2.0, 9.0], 0.99) == 9
    assert percentile([4.0], 0.001) == 4


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_so_many_are_not_above_a_percentile_and_fewer_are_below(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    slack = 1e-5
    assert sum(value <= found for value in ordered) >= share * len(ordered) - slack
    assert sum(value < found for value in ordered) < share * len(ordered) + slack


def test_nothing_measured_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match="not a share"):
        percentile([1.0], 0)


def test_prompt_answers_have_the_latency_that_they_had() -> None:
    answered = {number: intended_sec(5.0, 100, number) + 0.001 for number in range(4)}
    assert open_loop_latencies(5.0, 100, answered, 4, 9.0) == pytest.approx([0.001] * 4)


def test_a_stall_counts_for_all_requests_due_during_it() -> None:
    """Nothing is answered for a second, then everything at once: half waited longer than half a second."""
    answered = dict.fromkeys(range(100), 1.0)
    latencies = open_loop_latencies(0.0, 100, answered, 100, 1.0)
    assert latencies[0] == pytest.approx(1.0)
    assert latencies[-1] == pytest.approx(0.01)
    assert percentile(sorted(latencies), 0.5) == pytest.approx(0.5, abs=0.01)


def test_a_request_that_was_never_answered_has_waited_until_the_end() -> None:
    assert open_loop_latencies(0.0, 10, {0: 0.001}, 2, 4.0) == pytest.approx([0.001, 3.9])
