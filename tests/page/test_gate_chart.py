from __future__ import annotations

import re

import pytest

from page.content import GateHistory, GateStep
from page.gate_chart import HEIGHT, WIDTH, GateCharts, gate_charts
from tests.page.contents import made

RECTANGLE = re.compile(
    r'<rect x="([\d.]+)" width="([\d.]+)" y="([\d.]+)" height="([\d.]+)" fill="url\(#look-'
)
EMPTY = GateStep({}, {})


def history(*steps: GateStep, step_sec: int = 5) -> GateHistory:
    return GateHistory("last 5 minutes", "5 min", step_sec, steps)


def drawn(histories: list[GateHistory]) -> GateCharts:
    return made(gate_charts(histories))


def test_a_bar_is_as_high_as_its_count_and_nothing_leaves_the_drawing() -> None:
    full = GateStep({"sanity_checks_passed": 30, "open_permit_granted": 10}, {"no_position": 10})
    (chart,) = drawn([history(EMPTY, full, GateStep({}, {"no_position": 25}))]).charts
    assert (chart.top, chart.total) == (50, 75)
    rectangles = [tuple(map(float, found)) for found in RECTANGLE.findall(chart.bars)]
    assert [height for _, _, _, height in rectangles] == [HEIGHT * 0.8, HEIGHT * 0.2, HEIGHT * 0.5]
    assert [y for _, _, y, _ in rectangles] == [HEIGHT * 0.2, 0.0, HEIGHT * 0.5]
    assert all(x >= 0 and x + width <= WIDTH for x, width, _, _ in rectangles)


def test_a_bar_says_what_it_stands_for() -> None:
    step = GateStep({"sanity_checks_passed": 3}, {"no_position": 1})
    (chart,) = drawn([history(step, EMPTY, step)]).charts
    assert "<title>10 s ago: 3 allowed, 1 denied</title>" in chart.bars
    assert "<title>now: 3 allowed, 1 denied</title>" in chart.bars
    assert chart.begins == "15 s ago"
    assert drawn([history(*[EMPTY] * 60, step_sec=60)]).charts[0].begins == "60 min ago"


def test_the_most_frequent_reasons_have_a_look_of_their_own_and_the_legend_adds_up() -> None:
    denied = {f"reason_{number}": 10 - number for number in range(8)}
    charts = drawn([history(GateStep({"sanity_checks_passed": 5}, denied))])
    assert [(row.meaning, row.slot, row.counts) for row in charts.legend] == [
        ("allowed", "allow", (5,)),
        *((f"reason_{number}", f"deny{number}", (10 - number,)) for number in range(5)),
        ("other reasons", "deny-other", (5 + 4 + 3,)),
    ]
    assert sum(sum(row.counts) for row in charts.legend) == charts.charts[0].total


def test_nothing_decided_is_an_empty_chart() -> None:
    charts = drawn([history(*[EMPTY] * 60)])
    assert (str(charts.charts[0].bars), charts.charts[0].total) == ("", 0)
    assert [row.meaning for row in charts.legend] == ["allowed"]


@pytest.mark.parametrize(
    ("most", "top"), [(0, 5), (5, 5), (6, 10), (20, 20), (21, 50), (51, 100), (7e4, 1e5)]
)
def test_the_scale_ends_at_a_round_number(most: float, top: float) -> None:
    (chart,) = drawn([history(GateStep({"sanity_checks_passed": int(most)}, {}))]).charts
    assert chart.top == top
