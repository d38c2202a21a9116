"""The bench as a whole, as small as it gets: every case runs, and what fails is said."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from rich.console import Console

from bench import __main__ as command
from bench import rounds as bench_rounds
from bench import snapshot_cases
from bench.bounds import BOUNDS
from bench.cases import CASES
from bench.contenders import Session
from bench.figures import FLOOR, Figure
from bench.markdown import markdown
from bench.plans import WrongAnswersError
from bench.report import Report, print_report
from bench.sizes import QUICK

_TINY = msgspec.structs.replace(
    QUICK,
    one_at_a_time=100,
    rates=(100, 1000),
    open_loop_sec=0.1,
    open_loop_plans=100,
    burst=100,
    results=100,
    results_burst=50,
    results_waiting=50,
    events=100,
    events_burst=100,
    gate_permits=5,
    intents=100,
    far_plans=5,
    far_burst=100,
    role_plans=50,
    drifts=1,
    refreshes=2,
    idle_sec=1.0,
    accounts=2,
    trade_sec=1.0,
    account_rounds=2,
)
_SMALL = ["--quick", "--symbols", "20", "--exchange-latency-ms", "20"]


class Bench:
    """The command at its smallest, with cases that a test may replace."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.file = folder / "bench.json"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setattr(command, "QUICK", _TINY)
        monkeypatch.setattr(snapshot_cases, "_FOR_WEIGHT_SEC", 0.5)

    def replace(self, name: str, run: Callable[[Session], list[Figure]]) -> None:
        """Let the case run so instead."""
        cases = {**CASES, name: CASES[name]._replace(run=run)}
        self._monkeypatch.setattr(bench_rounds, "CASES", cases)

    def run(self, *arguments: str, sizes: Sequence[str] = _SMALL) -> tuple[int, Any]:
        """Return the exit code and the JSON document."""
        code = command.main([*sizes, *arguments, "--json", str(self.file)])
        return code, json.loads(self.file.read_text())

    def printed(self) -> str:
        """Return all that was printed, white space between words made single."""
        return " ".join(self._capsys.readouterr().out.split())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys)


def floor(*cases: str) -> list[str]:
    """Return the arguments for these cases of the floor alone."""
    return ["--contender", FLOOR, *(word for case in cases for word in ("--only", case))]


def test_every_case_runs_and_measures_what_has_a_bound(bench: Bench) -> None:
    code, found = bench.run()
    shown = bench.printed()
    assert (code, found["failures"]) == (0, [])
    assert all(name in shown for name in CASES)
    measured = {(row["case"], row["measure"]): row["values"].keys() for row in found["rows"]}
    for bound in BOUNDS:
        assert measured[bound.case, bound.measure] >= {bound.of, *([bound.over] if bound.over else [])}
    rendered = markdown(bench.file.read_bytes())
    assert rendered.count("| yes |") + rendered.count("| **no** |") == len(BOUNDS)


def test_a_case_that_fails_is_said_and_the_others_go_on(bench: Bench) -> None:
    def wrong(_: Session) -> list[Figure]:
        raise WrongAnswersError("of 3 plans: {'unanswered': 3}")

    bench.replace("one-at-a-time", wrong)
    code, found = bench.run(*floor("cold-start", "one-at-a-time", "fill-to-ledger"))
    assert code == 1
    assert [(failure["case"], failure["contender"]) for failure in found["failures"]] == [
        ("one-at-a-time", FLOOR)
    ]
    assert {row["case"] for row in found["rows"]} == {
        "cold start → first permit",
        "fill → ledger, one at a time",
    }
    assert "WrongAnswersError: of 3 plans: {'unanswered': 3}" in bench.printed()


def test_a_contender_that_ends_fails_all_that_is_left(bench: Bench) -> None:
    def ending(session: Session) -> list[Figure]:
        session.process.stop()
        return [Figure("cold start → first permit", "took", "s", 1.0)]

    bench.replace("cold-start", ending)
    code, found = bench.run(*floor("cold-start", "throughput-5", "results"))
    assert code == 1
    assert [failure["case"] for failure in found["failures"]] == ["throughput-5", "results"]
    assert all("has ended" in failure["why"] for failure in found["failures"])


def test_rounds_are_of_the_first_number_of_symbols_and_growth_has_its_own(bench: Bench) -> None:
    measured: list[int] = []

    def noted(session: Session) -> list[Figure]:
        measured.append(len(session.stage.held))
        return [Figure("idle", "CPU", "", float(len(measured)))]

    bench.replace("idle", noted)
    sizes = ["--quick", "--symbols", "20", "--symbols", "10", "--symbols", "30"]
    code, found = bench.run("--rounds", "3", "--growth-rounds", "2", *floor("idle"), sizes=sizes)
    assert code == 0
    assert measured == [20, 20, 20, 10, 30, 10, 30]
    assert [row["values"] for row in found["rows"]] == [{FLOOR: 2.0}, {FLOOR: 5.0}, {FLOOR: 6.0}]


@pytest.mark.parametrize(
    ("number", "code", "why"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "stopped"),
        (signal.SIGALRM, 0, "its time was over"),
    ],
)
def test_a_run_that_is_stopped_reports_its_results(
    number: signal.Signals, code: int, why: str, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    running: list[Session] = []
    let_through: list[int] = []

    def stopped(session: Session) -> list[Figure]:
        running.append(session)
        os.kill(os.getpid(), number)
        raise AssertionError("goes on")

    def interrupted_print(console: Console, report: Report) -> None:
        # Once more, as from one who stops a group of processes as well as its first.
        os.kill(os.getpid(), number)
        print_report(console, report)

    monkeypatch.setattr(command, "print_report", interrupted_print)
    bench.replace("one-at-a-time", stopped)

    def others(signal_number: int, _: FrameType | None) -> None:
        let_through.append(signal_number)

    before = signal.signal(number, others)
    try:
        ended_with, found = bench.run(*floor("cold-start", "one-at-a-time"))
        assert ended_with == code
        assert signal.getsignal(number) is others
    finally:
        signal.signal(number, before)
    assert [row["case"] for row in found["rows"]] == ["cold start → first permit"]
    assert (found["circumstances"]["ended_early"], found["failures"]) == (why, [])
    assert f"ended early ({why})" in bench.printed()
    assert running[0].process.ended
    assert let_through == []


def test_a_run_ends_when_its_time_is_over(bench: Bench) -> None:
    def endless(_: Session) -> list[Figure]:
        while True:
            signal.pause()

    bench.replace("idle", endless)
    assert bench.run(*floor("idle"), "--minutes", "0.05")[0] == 0
    assert "ended early (its time was over)" in bench.printed()
