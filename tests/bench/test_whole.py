"""The bench as a whole, as small as it gets: every case runs, and what fails is said."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import FrameType

import msgspec
import pytest
from rich.console import Console

from bench import __main__ as command
from bench import rounds as bench_rounds
from bench import snapshot_cases
from bench.bounds import BOUNDS
from bench.cases import CASES
from bench.contenders import Session
from bench.figures import DAEMON, FLOOR, Figure
from bench.markdown import markdown
from bench.plans import WrongAnswersError
from bench.report import Report, print_report
from bench.sizes import QUICK

_TINY = msgspec.structs.replace(
    QUICK,
    one_at_a_time=100,
    rates=(50,),
    open_loop_sec=0.2,
    open_loop_plans=10,
    burst=100,
    results=100,
    results_burst=50,
    results_waiting=50,
    events=100,
    events_burst=100,
    gate_permits=5,
    refreshes=2,
    idle_sec=1.0,
)
_SMALL = ["--quick", "--symbols", "20", "--exchange-latency-ms", "20"]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUICK", _TINY)
    monkeypatch.setattr(snapshot_cases, "_FOR_WEIGHT_SEC", 0.5)


def test_every_case_runs_and_measures_what_has_a_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    code = command.main([*_SMALL, "--json", str(file)])
    shown, found = capsys.readouterr().out, json.loads(file.read_text())
    assert (code, found["failures"]) == (0, [])
    assert all(name in shown for name in CASES)
    measured = {(row["case"], row["measure"]): row["values"].keys() for row in found["rows"]}
    for bound in BOUNDS:
        assert measured[bound.case, bound.measure] >= {DAEMON, *([bound.over] if bound.over else [])}
    rendered = markdown(file.read_bytes())
    assert rendered.count("| yes |") + rendered.count("| **no** |") == len(BOUNDS)


def test_a_case_that_fails_is_said_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(_: Session) -> list[Figure]:
        raise WrongAnswersError("of 3 plans: {'unanswered': 3}")

    broken = {**CASES, "one-at-a-time": CASES["one-at-a-time"]._replace(run=wrong)}
    monkeypatch.setattr(bench_rounds, "CASES", broken)
    file = tmp_path / "bench.json"
    only = [
        "--contender",
        FLOOR,
        "--only",
        "cold-start",
        "--only",
        "one-at-a-time",
        "--only",
        "fill-to-ledger",
    ]
    code = command.main([*_SMALL, *only, "--json", str(file)])
    found = json.loads(file.read_text())
    assert code == 1
    assert [(failure["case"], failure["contender"]) for failure in found["failures"]] == [
        ("one-at-a-time", FLOOR)
    ]
    assert {row["case"] for row in found["rows"]} == {
        "cold start → first permit",
        "fill → ledger, one at a time",
    }
    assert "WrongAnswersError: of 3 plans: {'unanswered': 3}" in capsys.readouterr().out


def test_a_contender_that_ends_fails_all_that_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ending(session: Session) -> list[Figure]:
        session.process.stop()
        return [Figure("cold start → first permit", "took", "s", 1.0)]

    broken = {**CASES, "cold-start": CASES["cold-start"]._replace(run=ending)}
    monkeypatch.setattr(bench_rounds, "CASES", broken)
    file = tmp_path / "bench.json"
    only = ["--contender", FLOOR, "--only", "cold-start", "--only", "throughput-5", "--only", "results"]
    assert command.main([*_SMALL, *only, "--json", str(file)]) == 1
    found = json.loads(file.read_text())
    assert [failure["case"] for failure in found["failures"]] == ["throughput-5", "results"]
    assert all("has ended" in failure["why"] for failure in found["failures"])


def test_rounds_are_of_the_first_number_of_symbols_and_growth_has_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured: list[int] = []

    def noted(session: Session) -> list[Figure]:
        measured.append(len(session.stage.held))
        return [Figure("idle", "CPU", "", float(len(measured)))]

    monkeypatch.setattr(bench_rounds, "CASES", {**CASES, "idle": CASES["idle"]._replace(run=noted)})
    file = tmp_path / "bench.json"
    sizes = ["--quick", "--symbols", "20", "--symbols", "10", "--symbols", "30"]
    rounds = ["--rounds", "3", "--growth-rounds", "2", "--only", "idle", "--contender", FLOOR]
    assert command.main([*sizes, *rounds, "--json", str(file)]) == 0
    assert measured == [20, 20, 20, 10, 30, 10, 30]
    found = json.loads(file.read_text())
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
    number: signal.Signals,
    code: int,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
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
    broken = {**CASES, "one-at-a-time": CASES["one-at-a-time"]._replace(run=stopped)}
    monkeypatch.setattr(bench_rounds, "CASES", broken)
    file = tmp_path / "bench.json"
    only = ["--contender", FLOOR, "--only", "cold-start", "--only", "one-at-a-time"]

    def others(signal_number: int, _: FrameType | None) -> None:
        let_through.append(signal_number)

    before = signal.signal(number, others)
    try:
        assert command.main([*_SMALL, *only, "--json", str(file)]) == code
        assert signal.getsignal(number) is others
    finally:
        signal.signal(number, before)
    found = json.loads(file.read_text())
    assert [row["case"] for row in found["rows"]] == ["cold start → first permit"]
    assert (found["circumstances"]["ended_early"], found["failures"]) == (why, [])
    assert f"ended early ({why})" in " ".join(capsys.readouterr().out.split())
    assert running[0].process.ended
    assert let_through == []


def test_a_run_ends_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(_: Session) -> list[Figure]:
        while True:
            signal.pause()

    monkeypatch.setattr(bench_rounds, "CASES", {**CASES, "idle": CASES["idle"]._replace(run=endless)})
    only = ["--contender", FLOOR, "--only", "idle", "--minutes", "0.05"]
    assert command.main([*_SMALL, *only]) == 0
    assert "ended early (its time was over)" in " ".join(capsys.readouterr().out.split())
