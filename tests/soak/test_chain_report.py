from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from tests.integration.chain_books import ChainBooks
from tests.soak.chain_report import ChainReport
from tests.soak.gauges import Course, slope_per_hour

BOOKS = ChainBooks(
    faults={"orders doubled": [], "open cases": []},
    intents=36_000, refused=4_000, plans=32_000, orders=20_000, executed=20_000,
    reasons={"flat_close": 4_000}, errors={"order_not_found": 12_000},
)  # fmt: skip
FINE = ChainReport(
    lasted_sec=3600, books=BOOKS, faults={"redis_killed": 90}, left_out=40,
    slowest_recovery_sec=1.5, rest_sec=12,
    memory=Course(100.0, 110.0, 111.0), memory_is_full=True, memory_lasted_sec=1800,
    memory_executed=40_000, memory_slope=2.0, failures=(),
)  # fmt: skip
BROKEN: dict[str, tuple[str, Any]] = {
    "1 orders doubled: p33-x": (
        "books", msgspec.structs.replace(BOOKS, faults={"orders doubled": ["p33-x"], "open cases": []}),
    ),
    "nothing was executed": ("books", msgspec.structs.replace(BOOKS, executed=0)),
    "1 times an actor failed: ERROR": ("failures", ("ERROR",)),
    "31.0 s to execute": ("slowest_recovery_sec", 31.0),
    "+11.0 MB": ("memory", Course(100.0, 110.0, 121.0)),
}  # fmt: skip


def test_a_run_in_which_all_adds_up_is_fine() -> None:
    assert FINE.wrong() == []
    assert "OK:" in printed(FINE)


@pytest.mark.parametrize("shown", BROKEN)
def test_a_broken_expectation_is_reported(shown: str) -> None:
    name, value = BROKEN[shown]
    report = msgspec.structs.replace(FINE, **{name: value})
    (wrong,) = report.wrong()
    assert shown in wrong
    assert f"BROKEN: {wrong}" in printed(report)
    assert "OK:" not in printed(report)


def test_a_process_that_still_fills_what_it_remembers_may_grow() -> None:
    young = msgspec.structs.replace(FINE, memory=Course(80.0, 90.0, 121.0), memory_is_full=False)
    assert young.wrong() == []
    assert "which fill what it remembers" in printed(young)


def test_the_slope_is_that_of_the_line_behind_the_warm_up() -> None:
    samples = [50.0] * 20 + [100.0 + number / 100 for number in range(80)]
    assert slope_per_hour(samples, 0.5) == pytest.approx(72.0)
    assert slope_per_hour([1.0, 2.0], 0.5) == 0.0


def printed(report: ChainReport) -> str:
    console = Console(file=io.StringIO(), width=400)
    report.print_to(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
