"""Audit records as each release wrote them: a later build reads, explains and decides them alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.decisions.permit_text import read_audit, recorded_decision
from brain.decisions.replaying import decide_again
from brain.identifiers import EntryId
from commands.replay import ReplayOptions, replay
from commands.replay.records import RecordedEntry, from_file
from explanation.deciding import State
from explanation.explaining import explain_traces
from explanation.traces import PlanTraces, Recorded

#: Exports of `replay --export`, one a release; a new release adds its own and changes none.
RECORDED = sorted((Path(__file__).parent / "recorded").glob("audit-*.jsonl"))


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def entries(file: Path) -> list[RecordedEntry]:
    return list(from_file(file))


def test_the_records_are_of_two_releases_at_least() -> None:
    assert len(RECORDED) >= 2


def test_every_record_of_an_earlier_release_is_read_by_replay(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay({}, ReplayOptions([], file=file))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert f"12 records of {file}" in captured.out
    assert "1 not decided on a case, so not replayed: malformed_plan" in captured.out
    assert "could not be read" not in captured.out


def test_every_recorded_case_has_the_same_answer_now(entries: list[RecordedEntry]) -> None:
    with_case = [entry.record for entry in entries if read_audit(entry.record).case is not None]
    assert len(with_case) == 11
    for record in with_case:
        again = decide_again(record)
        assert again.same_answer, again.differences()


def test_every_recorded_decision_is_explained(entries: list[RecordedEntry]) -> None:
    for entry in entries:
        audit = read_audit(entry.record)
        recorded = Recorded(EntryId(entry.id), EntryId(entry.id), entry.record)
        explained = explain_traces(PlanTraces(audit.plan_id, 0, recorded, None, None, None, None))
        assert explained.state is State.DECIDED
        assert explained.decision == recorded_decision(audit)
        assert explained.checks, audit.plan_id
