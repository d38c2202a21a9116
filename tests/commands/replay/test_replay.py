from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.decisions.case import Case
from brain.decisions.decision import decide, deny_malformed, evaluation_failed, state_contended
from brain.identifiers import PlanId
from brain.plans.permit import Decision
from brain.plans.plan import MalformedPlan
from commands.clients.embedded_redis import private_redis
from commands.replay import ReplayOptions, replay
from settings import SettingsError
from tests.brain.cases import NOW_MS, case, snapshot
from tests.brain.strategies import cases
from tests.commands.recording import Recording, recording

Capture = pytest.CaptureFixture[str]


def output_of(service: Recording, *, exit_code: int = 0, **options: Any) -> str:
    assert replay(service.environ, ReplayOptions(**options)) == exit_code
    captured = service.capsys.readouterr()
    assert captured.err == ""
    return captured.out


async def aged(service: Recording, *ages_sec: float) -> None:
    """Closes that were allowed on snapshots this old."""
    for number, age_sec in enumerate(ages_sec):
        await service.decide(f"plan-{number}", case(snapshot=snapshot("0.038", age_sec=age_sec)))


@given(st.lists(cases(), min_size=1, max_size=60))
@settings(max_examples=8)
@pytest.mark.redis
async def test_every_recorded_case_is_decided_identically_again(
    capsys: Capture, recorded: list[Case]
) -> None:
    # Each example in its own server: fixtures do not outlive the first.
    async with private_redis() as url, recording(url, capsys) as service:
        await service.commit([(f"plan-{i}", decide(each), each) for i, each in enumerate(recorded)])
        text = output_of(service)
    assert text.startswith(f"Identical: {len(recorded)} decisions, each the same again.")


async def test_a_decision_that_differs_is_shown_and_fails_the_replay(service: Recording) -> None:
    await service.decide("plan-1", case())
    other: Decision = msgspec.structs.replace(decide(case()), quantity=Decimal("0.029"))
    await service.commit([("plan-2", other, case())])
    text = output_of(service, exit_code=1)
    assert text.startswith("NOT IDENTICAL: 1 of 2 decisions differ.")
    assert "plan-2 BTCUSDT" in text and 'quantity: "0.029" → "0.028"' in text
    assert "plan-1" not in text


async def test_other_settings_are_summed_up_by_reason(service: Recording) -> None:
    await aged(service, 0.5, 4.0, 6.0, 7.0, 12.0)
    text = output_of(service, changes=["P33_STALE_THRESHOLD_SEC=5"])
    words = " ".join(text.split())
    assert words.startswith("With P33_STALE_THRESHOLD_SEC=5, 2 of 5 decisions would have had another answer.")
    assert "ALLOW sanity_checks_passed DENY stale_exchange_state 2" in words
    assert "plan-2" in words and "plan-3" in words and "plan-4" not in words
    assert 'order_side: "SELL"' not in words and 'quantity: "0.028" → "0"' in words
    assert "which a replay cannot know" in words
    looser = " ".join(output_of(service, changes=["P33_STALE_THRESHOLD_SEC=30"]).split())
    assert "1 of 5 decisions" in looser
    assert "DENY stale_exchange_state ALLOW sanity_checks_passed 1" in looser


async def test_several_settings_at_once_and_none_that_matters(service: Recording) -> None:
    await aged(service, 0.5)
    await service.decide("cooling", case(cooldown_text=str(NOW_MS - 10_000)))
    both = output_of(service, changes=["P33_COOLDOWN_SEC=5", "P33_QTY_TOLERANCE_PCT=0.5"])
    assert "1 of 2 decisions" in both
    same = output_of(service, changes=["P33_STALE_THRESHOLD_SEC=10"])
    assert "0 of 2 decisions would have had another answer" in same
    assert "Examples" not in same


async def test_decisions_that_were_not_made_on_a_case_are_counted(service: Recording) -> None:
    await service.decide("plan-1", case())
    malformed = deny_malformed(MalformedPlan(PlanId("plan-2"), None, {"symbol": "missing"}))
    await service.commit([("plan-2", malformed, None)])
    await service.commit([("plan-3", evaluation_failed(3), None), ("plan-4", state_contended(5), case())])
    text = output_of(service)
    assert text.startswith("Identical: 1 decisions")
    assert "4 records of quantum:stream:permit.audit of Redis at unix://" in text
    for reason in ("malformed_plan", "evaluation_failed", "state_contended"):
        assert f"1 not decided on a case, so not replayed: {reason}" in text


async def test_a_record_that_cannot_be_read_proves_nothing(service: Recording) -> None:
    await service.decide("plan-1", case())
    audit_id = service.append("permit.audit", {"plan_id": "x", "record": '{"a":1}'})
    text = output_of(service, exit_code=1)
    assert f"1 could not be read, first {audit_id}: not an audit record" in text


async def test_no_records_are_no_proof(service: Recording) -> None:
    text = output_of(service, exit_code=1)
    assert text.startswith("There are no recorded decisions in quantum:stream:permit.audit of Redis at")


async def test_only_the_newest_or_the_latest_when_asked(service: Recording) -> None:
    service.append("permit.audit", {"plan_id": "old", "record": "{}"}, "1700000000000-0")
    await aged(service, 0.5, 1.0, 1.5)
    assert output_of(service, last=2).startswith("Identical: 2 decisions")
    assert output_of(service, since_sec=600.0).startswith("Identical: 3 decisions")
    assert "1 could not be read" in output_of(service, exit_code=1)


async def test_an_exported_file_replays_like_the_stream(service: Recording, tmp_path: Path) -> None:
    await aged(service, 0.5, 7.0)
    service.append("permit.audit", {"plan_id": "x", "record": b"no\nrecord\xff"})
    file = tmp_path / "decisions.jsonl"
    exported = output_of(service, exit_code=1, export=file)
    assert f"Written to {file}" in exported.replace("\n", "")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["record"]["plan_id"] for line in lines[1:]] == ["plan-1", "plan-0"]
    assert lines[0]["record"] == "no\nrecord\\xff"
    from_file = output_of(service, exit_code=1, file=file)
    assert from_file.startswith("Identical: 2 decisions") and "1 could not be read" in from_file
    service.redis.flushall()
    changed = output_of(service, file=file, changes=["P33_STALE_THRESHOLD_SEC=5"])
    assert "1 of 2 decisions would have had another answer" in changed


async def test_an_export_overwrites_nothing(service: Recording, tmp_path: Path) -> None:
    await aged(service, 0.5)
    file = tmp_path / "decisions.jsonl"
    file.write_text("precious")
    assert replay(service.environ, ReplayOptions(export=file)) == 1
    assert service.capsys.readouterr().err == f"position-state-brain: {file}: File exists\n"
    assert file.read_text() == "precious"


@pytest.mark.parametrize("line", [b"{", b'{"id":"1-0"}', b"\xff", b"[" * 10_000])
def test_a_file_of_something_else_is_one_clear_line(line: bytes, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "decisions.jsonl"
    file.write_bytes(b"\n" + line + b"\n")
    assert replay({}, ReplayOptions(file=file)) == 1
    [shown] = capsys.readouterr().err.splitlines()
    assert shown.startswith(f"position-state-brain: {file}: {file}, line 2: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("P33_STALE_THRESHOLD_SEC", "NAME=VALUE is expected"),
        ("P33_STALE_THRESHOLD_SEC=-1", "P33_STALE_THRESHOLD_SEC='-1' is not allowed: seconds from 0.01 to"),
        ("P33_PERMIT_TTL=1.5", "whole seconds"),
        ("P33_STALE_TRESHOLD=5", "did you mean P33_STALE_THRESHOLD_SEC?"),
        ("P33_EXECUTION_GRACE_SEC=5", "cannot be tried out on recorded decisions; these can: P33_STALE_"),
        ("BINANCE_API_KEY=x", "cannot be tried out"),
    ],
)
def test_a_change_that_cannot_be_tried_out_is_refused_before_anything_is_read(
    change: str, words: str
) -> None:
    with pytest.raises(SettingsError) as error:
        replay({"REDIS_URL": "unix:///nowhere"}, ReplayOptions(changes=[change]))
    assert words in str(error.value)
