from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from tests.soak.gauges import Course, course_of
from tests.soak.report import SoakReport

FINE = SoakReport(
    lasted_sec=600, plans=36_000, results=18_000, decisions=34_000, allowed=9_000, faults=36, restarts=0,
    mismatches=0, oldest_snapshot_sec=1.4, slowest_recovery_sec=0.9, memory=Course(70.0, 72.0, 72.5),
    descriptors=Course(40, 42, 42), stale=340, most_connections=31, drops_alone=False, broken=(),
)  # fmt: skip

BROKEN: dict[str, tuple[str, Any]] = {
    "nothing was allowed": ("allowed", 0),
    "actors were restarted 2 times": ("restarts", 2),
    "1 ledgers differ": ("mismatches", 1),
    "11.0 s old": ("oldest_snapshot_sec", 11.0),
    "31.0 s to allow": ("slowest_recovery_sec", 31.0),
    "+7.2 MB": ("memory", Course(70.0, 72.0, 79.2)),
    "+12 in the second half": ("descriptors", Course(40, 42, 54)),
    "61 connections": ("most_connections", 61),
    "plan-7 was decided twice": ("broken", ("plan-7 was decided twice",)),
}


def test_memory_is_reported_after_the_warm_up_halfway_and_at_the_end() -> None:
    samples = [10.0] * 20 + [50.0] * 20 + [60.0] * 40 + [61.0] * 19 + [500.0]
    assert course_of(samples) == Course(50.0, 60.0, 61.0)
    assert course_of(samples).growth == 1.0


@pytest.mark.parametrize("count", range(1, 15))
def test_a_short_run_has_figures_too(count: int) -> None:
    assert course_of([70.0] * count) == Course(70.0, 70.0, 70.0)


def test_a_run_in_which_all_held_is_fine() -> None:
    assert FINE.wrong() == []
    assert "OK:" in printed(FINE)


@pytest.mark.parametrize("shown", BROKEN)
def test_a_broken_expectation_is_reported(shown: str) -> None:
    name, value = BROKEN[shown]
    report = msgspec.structs.replace(FINE, **{name: value})
    (failure,) = report.wrong()
    assert shown in failure
    assert f"BROKEN: {failure}" in printed(report)
    assert "OK:" not in printed(report)


def printed(report: SoakReport) -> str:
    console = Console(file=io.StringIO(), width=200)
    report.print_to(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_run_in_which_only_the_stream_breaks_is_held_to_less_growth_and_few_stale_denials() -> None:
    drops = msgspec.structs.replace(FINE, drops_alone=True)
    assert drops.wrong() == []
    (grown,) = msgspec.structs.replace(drops, memory=Course(70.0, 72.0, 74.1)).wrong()
    assert "+2.1 MB" in grown
    (stale,) = msgspec.structs.replace(drops, stale=341).wrong()
    assert "341 of 34000 plans" in stale
