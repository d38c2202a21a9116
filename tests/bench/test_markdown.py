from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import __main__ as command
from bench.bounds import BOUNDS
from bench.figures import BRIDGE, DAEMON, FLOOR, PREDECESSOR, Failure, Row
from bench.markdown import markdown
from bench.report import Circumstances, Report, as_json

_ONE = "plan → permit, one at a time"
_RUN = Circumstances("7.0", "3.11", 2, 0.5, 3, False, 300.0, [569, 100, 5000], 1, 27.3)
_ROWS = [
    Row(569, _ONE, "p50", "ms", {DAEMON: 1.5, FLOOR: 0.5, BRIDGE: 1.25, PREDECESSOR: 6012.0}),
    Row(569, _ONE, "p99", "ms", {DAEMON: 2.0, FLOOR: 1.0, BRIDGE: 2.0}),
    Row(569, _ONE, "slowest", "ms", {PREDECESSOR: 6034.0}),
    Row(569, "after all of it", "resident memory", "MB", {DAEMON: 74.0}),
    Row(100, "after all of it", "resident memory", "MB", {DAEMON: 61.0, FLOOR: 12.0}),
    Row(5000, _ONE, "p50", "ms", {DAEMON: 1.75}),
]


def _lines(circumstances: Circumstances = _RUN, *failures: Failure) -> list[str]:
    return markdown(as_json(Report(circumstances, _ROWS, failures, []))).splitlines()


def test_a_bound_stands_beside_the_predecessor_and_what_was_measured() -> None:
    lines = _lines()
    assert (
        "| plan → permit, one at a time, p50 | 5,900 ms | 6,012 ms | ≤ 2 × floor "
        "| 3.00 × floor (1.50 ms; floor 0.50 ms) | **no** |"
    ) in lines
    assert "| the same |  |  | ≤ 1.15 × bridge | 1.20 × bridge (1.50 ms; bridge 1.25 ms) | **no** |" in lines
    assert (
        "| plan → permit, one at a time, p99 | 6,200 ms | 6,034 ms (slowest) | ≤ 3 × floor "
        "| 2.00 × floor (2.00 ms; floor 1.00 ms) | yes |"
    ) in lines
    assert "| after all of it, resident memory | 44 MB (20 symbols) | — | ≤ 100 MB | 74.0 MB | yes |" in lines


def test_a_bound_that_was_not_measured_is_neither_kept_nor_broken() -> None:
    (line,) = [line for line in _lines() if "next booking" in line]
    assert line == "| crash → next booking, took | the whole process | — | ≤ 100 ms | — | — |"


def test_every_bound_has_its_line() -> None:
    lines = _lines()
    assert all(any(f"| {bound.limit_text} |" in line for line in lines) for bound in BOUNDS)


def test_growth_is_the_daemon_from_the_fewest_symbols_to_the_most() -> None:
    lines = _lines()
    begin = lines.index("| symbols | 100 | 569 | 5,000 |")
    assert lines[begin + 1 :] == [
        "|--|-:|-:|-:|",
        "| plan → permit, one at a time, p50, ms | — | 1.50 | 1.75 |",
        "| plan → permit, one at a time, p99, ms | — | 2.00 | — |",
        "| after all of it, resident memory, MB | 61.0 | 74.0 | — |",
    ]


def test_one_number_of_symbols_shows_no_growth() -> None:
    assert not [
        line for line in _lines(msgspec.structs.replace(_RUN, symbols=[569])) if line.startswith("| symbols")
    ]


def test_circumstances_and_failures_are_said() -> None:
    ended = msgspec.structs.replace(_RUN, ended_early="stopped")
    first, *_, last = _lines(ended, Failure(5000, "idle", DAEMON, "it ended"))
    assert "3 round(s), 1 of growth, 27 min; ended early (stopped)" in first
    assert last == "Failed: idle, daemon, 5,000 symbols."


def test_the_command_prints_the_tables_of_a_file_and_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    file.write_bytes(as_json(Report(_RUN, _ROWS, [], [])))
    assert command.main(["--markdown", str(file)]) == 0
    assert capsys.readouterr().out == markdown(file.read_bytes())
