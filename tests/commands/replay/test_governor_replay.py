"""`replay` of the Governor's judgements: by its option, or by a setting of the Governor's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brain.governor.judging import evaluation_failed, judge
from brain.governor.replaying import SHAPE_NO_JUDGEMENT
from brain.governor.rules import GovernorRules
from commands.replay import ReplayOptions, replay
from commands.replay.overrides import parse_changes
from commands.replay.subjects import GOVERNOR, P33, as_rules
from settings import SettingsError, load
from tests.brain.governor.cases import closing, opening, scored
from tests.commands.recording import Recording
from tests.commands.replay.test_replay import output_of
from wiring.rules import governor_rules


async def test_recorded_judgements_come_out_identical_again(service: Recording) -> None:
    for number, case in enumerate((opening(), closing(), scored(0.1), scored(0.7), scored(0.95))):
        service.judge(f"plan-{number}", case)
    text = output_of(service, role="governor")
    assert text.startswith("Identical: 5 judgements, each the same again.")
    assert "5 records of quantum:stream:governor.audit of Redis" in text


async def test_a_z_that_differs_by_one_bit_fails_the_replay(service: Recording) -> None:
    judged = judge(scored(0.31))
    assert judged.z is not None
    service.judge("plan-1", scored(0.31), msgspec.structs.replace(judged, z=judged.z * (1 + 2**-52)))
    text = output_of(service, exit_code=1, role="governor")
    assert text.startswith("NOT IDENTICAL: 1 of 1 judgements differ.")
    assert "plan-1 BTCUSDT" in text and "z: " in text


@pytest.mark.parametrize("options", [{}, {"role": "governor"}])
async def test_a_setting_of_the_governor_is_tried_out_on_its_judgements(
    service: Recording, options: dict[str, Any]
) -> None:
    service.judge("plan-1", opening())
    service.judge("plan-2", closing())
    changes = ["GOV_MAX_NOTIONAL_PER_TRADE_USDT=50", "GOV_KILL_SCORE_CRITICAL=0.9"]
    words = " ".join(output_of(service, changes=changes, **options).split())
    assert words.startswith(f"With {' '.join(changes)}, 1 of 2 judgements would have had another answer.")
    assert "recorded now judgements" in words
    assert "GRANT governor_granted REFUSE notional_per_trade_exceeded 1" in words
    assert "found other grants, counts, statistics and positions, which a replay cannot know" in words


async def test_settings_shared_with_p33_can_be_tried_out_on_judgements(service: Recording) -> None:
    service.judge("plan-1", opening())
    text = output_of(service, changes=["P33_PLAN_MAX_AGE_SEC=0.5"], role="governor")
    assert "of 1 judgements" in text


async def test_outcomes_without_a_case_and_unreadable_records_are_counted(service: Recording) -> None:
    service.judge("plan-1", opening())
    service.judge("plan-2", None, evaluation_failed(3, "exit", None))
    audit_id = service.append("governor.audit", {"plan_id": "x", "record": "{}"})
    text = output_of(service, exit_code=1, role="governor")
    assert "1 not decided on a case, so not replayed: evaluation_failed" in text
    assert f"1 could not be read, first {audit_id}: not an audit record of the Governor" in text


async def test_without_the_option_judgements_are_not_looked_at(service: Recording) -> None:
    service.judge("plan-1", opening())
    text = output_of(service, exit_code=1)
    assert text.startswith("There are no recorded decisions in quantum:stream:permit.audit")


async def test_an_exported_file_of_judgements_replays_like_the_stream(
    service: Recording, tmp_path: Path
) -> None:
    service.judge("plan-1", scored(0.7))
    file = tmp_path / "judgements.jsonl"
    output_of(service, role="governor", export=file)
    [line] = [json.loads(text) for text in file.read_text().splitlines()]
    assert line["record"]["plan_id"] == "plan-1" and line["record"]["v"] == 1
    service.redis.flushall()
    assert output_of(service, role="governor", file=file).startswith("Identical: 1 judgements")


def test_each_rule_of_a_judgement_has_a_setting_to_try_out() -> None:
    rules = set(GOVERNOR.changeable.values())
    assert rules == set(GovernorRules.__struct_fields__) - SHAPE_NO_JUDGEMENT
    assert len(rules) == len(GOVERNOR.changeable)
    # Beside them stand those of P3.3 alone.
    assert set(P33.changeable) - set(GOVERNOR.changeable) == {"P33_COOLDOWN_SEC", "P33_QTY_TOLERANCE_PCT"}


@pytest.mark.parametrize(("name", "rule"), GOVERNOR.changeable.items())
def test_a_setting_is_tried_out_as_the_governor_would_read_it(name: str, rule: str) -> None:
    default = getattr(governor_rules(load({}).settings), rule)
    for text in ("0.3", "7", "true", "false", "12", "3600", "90000"):
        try:
            own = load({"P33_GOVERNOR": "on", name: text}).settings
        except SettingsError:
            continue
        expected = getattr(governor_rules(own), rule)
        if expected != default:
            break
    else:
        raise AssertionError(f"no other value of {name} is allowed")
    tried = as_rules(parse_changes([f"{name}={text}"], GOVERNOR))
    assert tried == {rule: expected}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("GOV_MAX_EXEC_PER_HOUR=-1", "GOV_MAX_EXEC_PER_HOUR='-1' is not allowed"),
        ("GOV_MAX_EXEC_PER_HUOR=1", "did you mean GOV_MAX_EXEC_PER_HOUR?"),
        ("GOV_PERMIT_TTL=5", "cannot be tried out on recorded judgements; these can: "),
        ("RISK_MAX_DRAWDOWN=5", "did you mean RISK_MAX_DRAWDOWN_PCT?"),
    ],
)
def test_a_change_that_cannot_be_tried_out_is_refused(change: str, words: str) -> None:
    with pytest.raises(SettingsError) as error:
        replay({"REDIS_URL": "unix:///nowhere"}, ReplayOptions(changes=[change]))
    assert words in str(error.value)
