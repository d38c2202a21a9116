"""The Governor's judgement beside P3.3's decision, and both on one time line."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from brain.execution.switches import TradingState
from brain.governor.judging import evaluation_failed, judge
from commands.explain import explain
from tests.brain.cases import case
from tests.brain.governor.cases import closing, opening, scored
from tests.commands.explain.test_execution import begin, json_of, lines_of
from tests.commands.recording import Recording

PLAN_ID = "plan-1"


def text_of(service: Recording) -> str:
    assert explain(service.environ, PLAN_ID, as_json=False) == 0
    return " ".join(service.capsys.readouterr().out.split())


async def test_a_refusal_is_shown_with_the_check_the_numbers_and_what_to_do(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, scored(0.95))
    shown = json_of(service)["governor"]
    judgement = judge(scored(0.95))
    assert shown["judgement"]["reason"] == judgement.reason == "kill_score_critical_open"
    assert (shown["judgement"]["z"], shown["judgement"]["granted"]) == (judgement.z, False)
    assert [each["outcome"] for each in shown["checks"]].count("denied") == 1
    text = text_of(service)
    assert "Governor REFUSE kill_score_critical_open" in text
    assert "critical kill score DENIED kill score 0.95, critical 0.8 → kill_score_critical_open" in text
    assert "at or above GOV_KILL_SCORE_CRITICAL" in text
    assert "not reached: kill score given, kill score warm, kill score, kill score of an exit, daily" in text
    assert "permit now gone: consumed or expired, or there was none" in text


async def test_decision_and_judgement_stand_on_one_time_line(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, closing())
    begin(service)
    lines = lines_of(service)
    assert lines[0] == "The plan was published."
    # Both in their order, which is any within a millisecond.
    assert set(lines[1:3]) == {
        "P3.3 allows it: sanity_checks_passed.",
        "The Governor grants it: governor_granted_close.",
    }
    assert lines[3].startswith("The permits are consumed")


async def test_a_refusal_on_the_time_line_has_its_numbers_and_no_second_line_for_its_block(
    service: Recording,
) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, opening(trading_state=TradingState.HALTED))
    block = {"reason": "trading_halted", "timestamp": service.redis.time()[0], "symbol": "BTCUSDT"}
    service.redis.set(f"quantum:governor:block:{PLAN_ID}", json.dumps(block))
    begin(service)
    lines = [line for line in lines_of(service) if "Governor " in line]
    assert lines == ["The Governor refuses it: trading_halted (trading HALTED)."]


async def test_permit_and_live_grant_are_shown_while_they_are_there(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, opening())
    service.redis.set(f"quantum:permit:{PLAN_ID}", '{"granted":true}')
    service.redis.hset("quantum:governor:reserved", PLAN_ID, '{"symbol":"BTCUSDT"}')
    shown = json_of(service)["governor"]
    assert (shown["permit_now"], shown["grant_now"]) == ('{"granted":true}', '{"symbol":"BTCUSDT"}')
    text = text_of(service)
    assert 'permit now {"granted": true}' in text and 'live grant {"symbol":"BTCUSDT"}' in text


async def test_a_judgement_of_the_shadow_says_so(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, opening(), stream="quantum:governor:shadow:audit")
    service.redis.set(f"quantum:permit:{PLAN_ID}", "another Governor's")
    shown = json_of(service)["governor"]
    assert (shown["shadow"], shown["permit_now"]) == (True, None)
    assert "in its shadow: it permits nothing" in text_of(service)
    assert "The Governor, in its shadow, grants it: governor_granted." in lines_of(service)


async def test_a_plan_that_the_governor_alone_knows_is_explained(service: Recording) -> None:
    service.judge(PLAN_ID, opening())
    shown = json_of(service)
    assert shown["state"] == "known to the Governor alone"
    assert shown["governor"]["judgement"]["granted"] is True


async def test_an_outcome_without_a_case_has_no_checks(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, None, evaluation_failed(3, "exit", None))
    shown = json_of(service)["governor"]
    assert (shown["checks"], shown["judgement"]["reason"]) == ([], "evaluation_failed")


async def test_another_outcome_of_this_build_is_noted(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, opening(), msgspec.structs.replace(judge(opening()), qty_scale=0.5))
    notes: list[Any] = json_of(service)["governor"]["notes"]
    assert "this build gives another outcome" in notes[0] and "replay --governor" in notes[0]


async def test_an_unreadable_record_leaves_the_time_and_the_permit(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.append("governor.audit", {"plan_id": PLAN_ID, "record": "{}"})
    service.redis.set(f"quantum:permit:{PLAN_ID}", "{}")
    shown = json_of(service)["governor"]
    assert shown["judgement"] is None and shown["permit_now"] == "{}"
    assert "its audit record cannot be read" in text_of(service)
    assert "The Governor judges it; the record cannot be read." in lines_of(service)


async def test_without_a_judgement_there_is_nothing_of_a_governor(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    shown = json_of(service)
    assert "governor" not in shown and "execution" not in shown
    silent = "Governor nothing of the Governor is in this Redis: it is off, or another service plays it"
    assert silent in text_of(service)
    service.redis.set("quantum:stream:governor.audit", "no stream")
    assert "governor" not in json_of(service) and silent in text_of(service)
