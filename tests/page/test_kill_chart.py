"""Kill scores and their z against the cut-off, as lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.content import KillHistory, KillPoint
from page.gate_chart import HEIGHT, WIDTH
from page.kill_chart import KillChart, kill_charts
from tests.page.contents import NOW_MS, kill_point, made

LINE = re.compile(r'<path class="(\w+)" d="M([^"h]*?)(h3)?"/>')


def drawn(*points: KillPoint) -> KillChart:
    (chart,) = made(kill_charts([KillHistory("BTCUSDT", "entry", points)], NOW_MS))
    return chart


def lines(markup: str, look: str) -> list[list[tuple[float, float]]]:
    """Return the lines of one look, each as its points."""
    return [
        [(float(x), float(y)) for x, y in (pair.split(" ") for pair in found[1].split("L"))]
        for found in LINE.findall(markup)
        if found[0] == look
    ]


def test_a_point_stands_where_its_time_and_its_score_are() -> None:
    chart = drawn(
        kill_point(40, kill_score=0.25), kill_point(30, kill_score=1.0), kill_point(0, kill_score=0.0)
    )
    assert lines(chart.score, "score") == [[(0.0, HEIGHT * 0.75), (WIDTH / 4, 0.0), (WIDTH, HEIGHT)]]
    assert chart.begins == "40 s ago"


def test_z_and_cut_off_share_a_scale_that_holds_both() -> None:
    chart = drawn(kill_point(10, z=-1.5, cutoff=0.5), kill_point(0, z=2.9, cutoff=0.5))
    assert chart.z_top == "3"
    assert lines(chart.z, "z") == [[(0.0, HEIGHT * 0.75), (WIDTH, pytest.approx(HEIGHT / 60, abs=0.01))]]
    assert lines(chart.z, "cutoff") == [[(0.0, HEIGHT * 2.5 / 6), (WIDTH, HEIGHT * 2.5 / 6)]]


def test_a_line_is_broken_where_there_was_no_verdict() -> None:
    chart = drawn(kill_point(4), kill_point(3, z=None, cutoff=None), kill_point(2), kill_point(1))
    assert [len(line) for line in lines(chart.z, "z")] == [1, 2]
    assert [len(line) for line in lines(chart.score, "score")] == [4]


def test_each_plan_has_its_text_and_a_refused_one_its_mark() -> None:
    chart = drawn(
        kill_point(4, granted=None, z=None, cutoff=None),
        kill_point(2, granted=False, reason="kill_score_entry"),
        kill_point(1),
    )
    titles = re.findall("<title>(.*?)</title>", chart.score)
    assert [title.rpartition(": ")[2] for title in titles] == [
        "observed",
        "refused, kill_score_entry",
        "granted",
    ]
    assert titles[1].endswith("kill score 0.300, z 0.40, cut-off 0.70: refused, kill_score_entry")
    assert "z" not in titles[0]
    assert chart.score.count('class="refused"') == chart.z.count('class="refused"') == chart.refused == 1
    assert chart.count == 3


points = st.builds(
    KillPoint,
    at_ms=st.integers(NOW_MS - 10**8, NOW_MS + 10**4),
    kill_score=st.floats(0, 1),
    z=st.none() | st.floats(-1000, 1000),
    cutoff=st.none() | st.floats(-1000, 1000),
    granted=st.none() | st.booleans(),
    reason=st.text(),
)


@given(st.lists(points, max_size=20))
def test_nothing_leaves_the_drawing_whatever_is_drawn(history: list[KillPoint]) -> None:
    chart = drawn(*sorted(history, key=lambda point: point.at_ms))
    for markup in (chart.score, chart.z):
        for look in ("score", "z", "cutoff"):
            for line in lines(markup, look):
                assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)
        areas = re.findall(r'class="area" x="([\d.]+)" y="0" width="([\d.]+)"', markup)
        assert len(areas) == len(history)
        assert all(float(x) + float(width) <= WIDTH + 0.02 for x, width in areas)
