"""Windows over results on the page."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from page.rendering import Page
from page.result_windows import ResultCounts, ResultWindows, Stop
from page.tone import Tone
from page.window_bars import LOOKS, WIDTH, window_bars
from tests.page.contents import content, result_windows
from tests.page.test_rendering import page_of


def counts(window: str = "5m", **decisions: int) -> ResultCounts:
    return ResultCounts(window=window, decisions=decisions)


def test_a_bar_is_as_wide_as_all_of_its_results_and_each_part_by_its_share() -> None:
    (bar,) = window_bars([counts(EXECUTE=3, BLOCKED=1)])
    assert (bar.title, bar.total, bar.counts) == ("5 min", 4, (3, 1, 0, 0, 0))
    drawn = r'x="([\d.]+)" y="0" width="([\d.]+)" height="\d+" fill="url\(#look-(\S+)\)"'
    places = re.findall(drawn, bar.bar)
    assert places == [("0.00", "450.00", "allow"), ("450.00", "150.00", "deny0")]
    assert "<title>BLOCKED: 1 of 4, 25.0 %</title>" in bar.bar
    assert bar.summary == "EXECUTE 75.0 %, BLOCKED 25.0 %"


def test_a_window_without_results_has_no_bar() -> None:
    (bar,) = window_bars([counts("1h")])
    assert (bar.title, bar.total, str(bar.bar), bar.summary) == ("1 h", 0, "", "no results")


@given(st.lists(st.integers(0, 10**9), min_size=len(LOOKS), max_size=len(LOOKS)))
def test_the_parts_of_a_bar_lie_side_by_side_within_its_width(numbers: list[int]) -> None:
    (bar,) = window_bars([ResultCounts(window="1m", decisions=dict(zip(LOOKS, numbers, strict=True)))])
    right = 0.0
    for left, width in re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', bar.bar):
        assert abs(float(left) - right) < 0.02
        right = float(left) + float(width)
    assert right <= WIDTH + 0.05
    assert not sum(numbers) or right >= WIDTH - 0.05


def test_the_page_shows_each_window_and_what_stopped_plans() -> None:
    reading = page_of(intelligence=result_windows())
    assert reading.unbalanced == []
    assert "4 in 5 min counts the results of all executors" in reading.text
    assert "5 min EXECUTE: 3 of 4, 75.0 % BLOCKED: 1 of 4, 25.0 % 4 3 1 0 0 0" in reading.text
    assert "p33 p33_permit_denied:no_position 1" in reading.text
    assert "Decisions that were not understood: HOLD (2)" in reading.text


def test_without_windows_there_is_the_sentence_alone() -> None:
    waiting = ResultWindows(
        state="on", tone=Tone.WATCH, doing="waits: another P3.5", windows=(), stops=(), unknown=()
    )
    reading = page_of(intelligence=waiting)
    assert "on waits: another P3.5" in reading.text
    assert "share of all results" not in reading.text


def test_a_quiet_window_says_that_nothing_was_stopped() -> None:
    quiet = result_windows(stops=(), unknown=())
    assert "Nothing stopped a plan in the last 5 minutes." in page_of(intelligence=quiet).text


def test_a_stop_without_a_gate_known_here_is_shown_as_it_is() -> None:
    shown = result_windows(stops=(Stop("other", "x" * 64, 10**12),))
    assert f"other {'x' * 64} {10**12}" in page_of(intelligence=shown).text


def test_without_the_role_there_is_nothing_of_it_on_the_page() -> None:
    assert "P3.5" not in "".join(Page().document(content()))
