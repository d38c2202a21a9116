from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from bench.figures import BRIDGE, DAEMON, FLOOR, Figure, Row, latency_figures, rows
from bench.report import Circumstances, as_json, print_table

_TOLD = Circumstances("7.0", "3.11", 2, 0.5, 3, False, 300.0)


def _figure(value: float, case: str = "latency", measure: str = "p50") -> Figure:
    return Figure(case, measure, "ms", value)


def test_a_row_holds_the_medians_of_the_rounds() -> None:
    told = [(DAEMON, _figure(value)) for value in (3.0, 90.0, 2.0)] + [(FLOOR, _figure(1.0))]
    (row,) = rows(told)
    assert row.values == {DAEMON: 3.0, FLOOR: 1.0}


def test_what_only_the_daemon_has_stands_with_its_case() -> None:
    told = [
        (FLOOR, _figure(1.0)),
        (FLOOR, _figure(1.0, case="throughput")),
        (DAEMON, _figure(1.0)),
        (DAEMON, _figure(1.0, measure="only here")),
    ]
    assert [(row.case, row.measure) for row in rows(told)] == [
        ("latency", "p50"),
        ("latency", "only here"),
        ("throughput", "p50"),
    ]


def test_a_ratio_is_the_daemon_over_the_other() -> None:
    row = Row("latency", "p50", "ms", {DAEMON: 3.0, FLOOR: 2.0, BRIDGE: 0.0})
    assert row.ratio_to(FLOOR) == 1.5
    assert row.ratio_to(BRIDGE) is None
    assert row.ratio_to("nobody") is None


def test_few_latencies_do_not_pretend_to_know_their_tail() -> None:
    shown = [[figure.measure for figure in latency_figures("", [0.001] * count)] for count in (99, 100, 1000)]
    assert shown == [["p50"], ["p50", "p99"], ["p50", "p99", "p99.9"]]


def test_the_json_holds_values_and_ratios() -> None:
    document = msgspec.json.decode(as_json(_TOLD, [Row("a", "b", "ms", {DAEMON: 3.0, FLOOR: 2.0})]))
    assert document["circumstances"]["exchange_latency_ms"] == 300
    assert document["rows"] == [
        {
            "case": "a",
            "measure": "b",
            "unit": "ms",
            "values": {"daemon": 3.0, "floor": 2.0},
            "daemon_over": {"floor": 1.5},
        }
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.0123")]
)
def test_numbers_have_the_digits_that_mean_something(value: float, shown: str) -> None:
    console = Console(width=110)
    with console.capture() as captured:
        print_table(console, _TOLD, [Row("a", "b", "ms", {DAEMON: value})])
    assert f" {shown} " in captured.get()
