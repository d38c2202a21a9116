import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision import Intensity
from supervision.intensity import RestartWindow


def test_as_many_restarts_as_allowed_and_not_one_more() -> None:
    window = RestartWindow(Intensity(restarts=3, within_sec=10))
    assert [window.admits(now_sec) for now_sec in (0, 1, 2, 3)] == [True, True, True, False]


def test_the_window_slides() -> None:
    window = RestartWindow(Intensity(restarts=2, within_sec=10))
    assert [window.admits(now_sec) for now_sec in (0, 9, 9.5, 10, 18.5, 19)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_none_allowed_means_the_first_failure_escalates() -> None:
    assert not RestartWindow(Intensity(restarts=0, within_sec=10)).admits(0)


@given(st.integers(0, 5), st.floats(0.1, 100), st.lists(st.floats(0, 50), max_size=60))
def test_no_window_holds_more_restarts_than_allowed(
    restarts: int, within_sec: float, gaps_sec: list[float]
) -> None:
    window = RestartWindow(Intensity(restarts=restarts, within_sec=within_sec))
    now_sec, admitted_sec = 0.0, list[float]()
    for gap_sec in gaps_sec:
        now_sec += gap_sec
        recent = [at_sec for at_sec in admitted_sec if now_sec - at_sec < within_sec]
        assert window.admits(now_sec) == (len(recent) < restarts)
        if len(recent) < restarts:
            admitted_sec.append(now_sec)


@pytest.mark.parametrize(("restarts", "within_sec"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_an_intensity_that_makes_no_sense_is_refused(restarts: int, within_sec: float) -> None:
    with pytest.raises(ValueError, match="intensity"):
        Intensity(restarts=restarts, within_sec=within_sec)


def test_the_window_counts_what_is_not_too_old_without_adding_to_it() -> None:
    window = RestartWindow(Intensity(restarts=2, within_sec=10.0))
    assert window.admits(0.0)
    assert window.admits(4.0)
    assert [window.count(at_sec) for at_sec in (9.9, 9.9, 10.0, 14.0)] == [2, 2, 1, 0]
