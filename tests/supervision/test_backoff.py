import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision import Backoff
from supervision.backoff import RestartDelays
from tests.supervision.rig import chance

backoffs = st.builds(
    lambda initial_sec, more_sec, factor, jitter: Backoff(
        initial_sec=initial_sec, maximum_sec=initial_sec + more_sec, factor=factor, jitter=jitter
    ),
    # Below 1e-307 a float has so few digits that its share is off by more than the test allows.
    st.just(0.0) | st.floats(1e-300, 100),
    st.floats(0, 1000),
    st.floats(1, 1e6),
    st.floats(0, 1),
)


def delays_sec(backoff: Backoff, count: int, seed: int = 0) -> list[float]:
    delays = RestartDelays(backoff, chance(seed))
    return [delays.next_sec() for _ in range(count)]


def test_each_delay_is_the_last_times_the_factor_until_the_maximum() -> None:
    backoff = Backoff(initial_sec=0.5, maximum_sec=5, factor=3, jitter=0)
    assert delays_sec(backoff, 5) == [0.5, 1.5, 4.5, 5, 5]


@given(backoffs, st.integers(0, 2**32))
def test_jitter_only_ever_shortens_and_by_no_more_than_its_share(backoff: Backoff, seed: int) -> None:
    longest_sec = backoff.initial_sec
    for delay_sec in delays_sec(backoff, 30, seed):
        assert longest_sec * (1 - backoff.jitter) * (1 - 1e-12) <= delay_sec <= longest_sec * (1 + 1e-12)
        longest_sec = min(backoff.maximum_sec, longest_sec * backoff.factor)


@given(backoffs, st.integers(0, 2**32))
def test_no_delay_exceeds_the_maximum_however_often_a_child_fails(backoff: Backoff, seed: int) -> None:
    assert all(0 <= delay_sec <= backoff.maximum_sec for delay_sec in delays_sec(backoff, 2000, seed))


@given(backoffs, st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_delays(backoff: Backoff, seed: int) -> None:
    assert delays_sec(backoff, 10, seed) == delays_sec(backoff, 10, seed)


def test_jitter_spreads_children_that_fell_together() -> None:
    backoff = Backoff(initial_sec=10, maximum_sec=10, jitter=0.5)
    drawn_sec = delays_sec(backoff, 1000)
    assert min(drawn_sec) < 5.1
    assert max(drawn_sec) > 9.9


def test_a_long_healthy_run_begins_the_delays_anew_and_a_short_one_does_not() -> None:
    delays = RestartDelays(
        Backoff(initial_sec=1, maximum_sec=100, factor=2, jitter=0, healthy_after_sec=30), chance()
    )
    assert [delays.next_sec(), delays.next_sec()] == [1, 2]
    delays.ran(29.9)
    assert delays.next_sec() == 4
    delays.ran(30)
    assert [delays.next_sec(), delays.next_sec()] == [1, 2]


@pytest.mark.parametrize(
    "bad",
    [
        {"initial_sec": -1},
        {"initial_sec": 11},
        {"maximum_sec": float("inf")},
        {"initial_sec": float("nan")},
        {"factor": 0.9},
        {"factor": float("nan")},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"healthy_after_sec": 0},
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="back-off"):
        Backoff(**{"initial_sec": 1, "maximum_sec": 10} | bad)
