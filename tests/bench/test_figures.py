from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from bench.bounds import verdicts
from bench.figures import BRIDGE, DAEMON, FLOOR, Failure, Figure, Row, latency_figures, rows
from bench.report import Circumstances, Report, as_json, print_report

_RUN = Circumstances("7.0", "3.11", 2, 0.5, 3, False, 300.0, [569, 5000])


def _figure(value: float, case: str = "latency", measure: str = "p50") -> Figure:
    return Figure(case, measure, "ms", value)


def _printed(report: Report) -> str:
    console = Console(width=150)
    with console.capture() as captured:
        print_report(console, report)
    return captured.get()


def test_a_row_holds_the_medians_of_the_rounds() -> None:
    measured = [(DAEMON, _figure(value)) for value in (3.0, 90.0, 2.0)] + [(FLOOR, _figure(1.0))]
    (row,) = rows(569, measured)
    assert row.values == {DAEMON: 3.0, FLOOR: 1.0}


def test_a_figure_that_only_the_daemon_has_stands_with_its_case() -> None:
    measured = [
        (FLOOR, _figure(1.0)),
        (FLOOR, _figure(1.0, case="throughput")),
        (DAEMON, _figure(1.0)),
        (DAEMON, _figure(1.0, measure="only here")),
    ]
    assert [(row.case, row.measure) for row in rows(569, measured)] == [
        ("latency", "p50"),
        ("latency", "only here"),
        ("throughput", "p50"),
    ]


def test_a_ratio_is_the_daemon_over_the_other() -> None:
    row = Row(569, "latency", "p50", "ms", {DAEMON: 3.0, FLOOR: 2.0, BRIDGE: 0.0})
    assert row.ratio_to(FLOOR) == 1.5
    assert row.ratio_to(BRIDGE) is None
    assert row.ratio_to("another") is None


def test_few_latencies_do_not_pretend_to_know_their_tail() -> None:
    shown = [[figure.measure for figure in latency_figures("", [0.001] * count)] for count in (99, 100, 1000)]
    assert shown == [["p50", "slowest"], ["p50", "p99"], ["p50", "p99", "p99.9"]]


def test_latencies_are_shown_in_milliseconds_and_need_not_be_sorted() -> None:
    assert [figure.value for figure in latency_figures("", [0.003, 0.001, 0.002])] == [2.0, 3.0]
    many = latency_figures("", [number / 1000 for number in range(1000, 0, -1)])
    assert [(figure.value, figure.unit) for figure in many] == [(500, "ms"), (990, "ms"), (999, "ms")]


def test_the_json_holds_values_ratios_what_was_measured_and_what_failed() -> None:
    failure = Failure(569, "idle", DAEMON, "it ended")
    row = Row(569, "a", "b", "ms", {DAEMON: 3.0, FLOOR: 2.0})
    document = msgspec.json.decode(as_json(Report(_RUN, [row], [failure], ["idle"])))
    assert document["circumstances"]["exchange_latency_ms"] == 300
    assert document["rows"] == [
        {
            "symbols": 569,
            "case": "a",
            "measure": "b",
            "unit": "ms",
            "values": {"daemon": 3.0, "floor": 2.0},
            "daemon_over": {"floor": 1.5},
        }
    ]
    assert document["cases"]["idle"].keys() == {"measures", "floor"}
    assert document["failures"] == [
        {"symbols": 569, "case": "idle", "contender": "daemon", "why": "it ended"}
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.0123")]
)
def test_numbers_have_the_digits_that_mean_something(value: float, shown: str) -> None:
    assert f" {shown} " in _printed(Report(_RUN, [Row(569, "a", "b", "ms", {DAEMON: value})], [], []))


def test_the_daemon_at_other_sizes_stands_in_the_same_row() -> None:
    table = [Row(569, "a", "b", "ms", {DAEMON: 1.5, FLOOR: 1.25}), Row(5000, "a", "b", "ms", {DAEMON: 7.75})]
    (line,) = [line for line in _printed(Report(_RUN, table, [], [])).splitlines() if "b, ms" in line]
    assert line.split() == ["b,", "ms", "1.50", "1.25", "1.20", "7.75"]


def test_a_failure_is_shown_with_its_reason() -> None:
    shown = _printed(Report(_RUN, [], [Failure(5000, "idle", DAEMON, "it ended")], ["idle"]))
    assert "FAILED: idle, daemon, 5,000 symbols" in shown
    assert "it ended" in shown


def test_a_bound_is_of_the_value_or_of_the_ratio_and_is_not_kept_by_what_was_not_measured() -> None:
    table = [
        Row(569, "plan → permit, one at a time", "p50", "ms", {DAEMON: 1.5, FLOOR: 1.0, BRIDGE: 1.0}),
        Row(569, "throughput, five symbols", "plans answered", "/s", {DAEMON: 9500.0, BRIDGE: 20000.0}),
        Row(569, "idle", "CPU", "% of a core", {DAEMON: 3.5}),
    ]
    kept = {verdict.bound: verdict.kept for verdict in verdicts(table)}
    assert kept["plan → permit, one at a time, p50 ≤ 2 × floor"]
    assert not kept["plan → permit, one at a time, p50 ≤ 1.15 × bridge"]
    assert kept["throughput, five symbols, plans answered ≥ 9,000 /s"]
    assert not kept["throughput, five symbols, plans answered ≥ 0.6 × bridge"]
    assert not kept["idle, CPU ≤ 3 % of a core"]
    assert not kept["cold start → first permit, took ≤ 2.5 s"]
