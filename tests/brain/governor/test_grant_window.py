"""Windows of grants, against plain lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from brain.governor.grant_window import GrantWindow

_STEPS = st.lists(
    st.tuples(st.sampled_from(["grant", "since", "without", "back"]), st.integers(0, 40)), max_size=60
)


@given(_STEPS)
def test_a_window_is_a_list_and_those_before_it_stay_as_they_were(steps: list[tuple[str, int]]) -> None:
    windows: list[tuple[GrantWindow, list[int]]] = [(GrantWindow(), [])]
    for step, number in steps:
        window, times = windows[-1]
        if step == "grant":
            at_ms = (times[-1] if times else 0) + number
            windows.append((window.with_grant(at_ms), [*times, at_ms]))
        elif step == "since":
            from_ms = (times[0] if times else 0) + number
            windows.append((window.since(from_ms), [time for time in times if time >= from_ms]))
        elif step == "without" and times:
            gone = times[number % len(times)]
            kept = list(times)
            kept.remove(gone)
            windows.append((window.without(gone), kept))
        else:
            # A judgement that was not written: the next one rests on a window before it.
            windows.append(windows[number % len(windows)])
    for window, times in windows:
        assert (list(window), len(window)) == (times, len(times))
        for at_ms in (-1, *times):
            assert window.after(at_ms) == sum(time > at_ms for time in times)


def test_a_window_that_lost_most_of_its_grants_lets_them_go() -> None:
    window = GrantWindow()
    for at_ms in range(10_000):
        window = window.with_grant(at_ms).since(at_ms - 9)
    assert list(window) == list(range(9_990, 10_000))
    assert len(window._times) < 2_500


def test_a_time_that_no_grant_has_takes_none_away() -> None:
    assert list(GrantWindow([1, 2]).without(3)) == [1, 2]
    assert GrantWindow([1]) == GrantWindow([0, 1]).since(1)
    assert GrantWindow([1]) != [1]
