"""`compare governor`: the shadow's judgements beside what another Governor has left."""

from __future__ import annotations

import json
from typing import Any

from brain.governor.reasons import GovernorReason
from commands.cli import COMPARED_ROLES
from commands.compare import ROLES, CompareOptions, compare
from tests.brain.governor.cases import closing, counts, opening
from tests.commands.recording import Recording

SHADOW = "quantum:governor:shadow:audit"
NO_MORE = opening(counts=counts(granted_hour=3))


def judged(service: Recording, plan_id: str, *, granted: bool = True) -> None:
    service.judge(plan_id, opening() if granted else NO_MORE, stream=SHADOW)


def blocked(service: Recording, plan_id: str, reason: str = "symbol_cooldown") -> None:
    service.redis.set(f"quantum:governor:block:{plan_id}", json.dumps({"reason": reason}))


def granted(service: Recording, plan_id: str) -> None:
    service.redis.set(f"quantum:permit:{plan_id}", '{"granted": true}')


def compared(service: Recording, exit_code: int, **options: Any) -> dict[str, Any]:
    assert compare(service.environ, "governor", CompareOptions(**options), as_json=True) == exit_code
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


def text_of(service: Recording, exit_code: int) -> str:
    assert compare(service.environ, "governor", CompareOptions(), as_json=False) == exit_code
    return " ".join(service.capsys.readouterr().out.split())


def test_the_command_line_knows_every_role() -> None:
    assert COMPARED_ROLES == ROLES


async def test_agreement_has_the_exit_code_0(service: Recording) -> None:
    judged(service, "plan-1")
    granted(service, "plan-1")
    judged(service, "plan-2", granted=False)
    blocked(service, "plan-2", "hourly_limit_exceeded")
    shown = compared(service, 0)
    assert (shown["agreement_pct"], shown["agree"]) == (100.0, {"proof": 2, "absence": 0})
    assert shown["differences"] == [] and shown["notes"] == []
    assert text_of(service, 0).startswith("100 % of 2 judgements agree: 2 agree, 0 differ.")


async def test_each_difference_has_our_reason_and_theirs(service: Recording) -> None:
    for number in range(4):
        judged(service, f"plan-{number}")
    for number in range(3):
        granted(service, f"plan-{number}")
    blocked(service, "plan-3")
    judged(service, "plan-4", granted=False)
    granted(service, "plan-4")
    judged(service, "plan-5")
    error = "permit_timeout (missing: Governor)"
    service.append("apply.result", {"plan_id": "plan-5", "executed": "False", "error": error})
    judged(service, "plan-6")
    shown = compared(service, 1)
    assert (shown["decisions"], shown["compared"], shown["agreement_pct"]) == (7, 6, 50.0)
    assert shown["differ"] == {"proof": 2, "absence": 1}
    assert [*shown["unknown"].values()] == [1]
    found = {each["id"]: (each["ours"], each["theirs"]) for each in shown["differences"]}
    assert list(found) == ["plan-5", "plan-4", "plan-3"]
    ours, theirs = found["plan-3"]
    assert ours == {"yes": True, "reason": GovernorReason.GRANTED}
    assert theirs["side"] == {"yes": False, "reason": "symbol_cooldown"} and theirs["seen_in"] == "its block"
    assert found["plan-4"][0]["reason"] == GovernorReason.HOURLY_LIMIT_EXCEEDED
    text = text_of(service, 1)
    assert text.startswith("50 % of 6 judgements agree: 3 agree, 3 differ (0 and 1 of these by the absence")
    assert "GRANT governor_granted REFUSE symbol_cooldown 1" in text
    assert "plan-4 BTCUSDT REFUSE hourly_limit_exceeded ≠ GRANT granted (its permit)" in text
    assert "1 not compared: nothing is left of it" in text


async def test_nothing_to_compare_is_no_agreement(service: Recording) -> None:
    assert "There are no judgements to compare" in text_of(service, 1)
    judged(service, "plan-1")
    assert "None of the judgements can be compared." in text_of(service, 1)
    assert compared(service, 1)["agreement_pct"] is None


async def test_only_the_newest_or_the_latest_when_asked(service: Recording) -> None:
    for number in range(3):
        judged(service, f"plan-{number}")
        granted(service, f"plan-{number}")
    old = {"plan_id": "old", "granted": "true", "reason": "governor_granted", "entry_id": "1700000000000-0"}
    service.redis.delete(SHADOW)
    service.append_to(SHADOW, old, "1700000000000-0")
    for number in range(3):
        judged(service, f"plan-{number}")
    assert compared(service, 0, last=2)["decisions"] == 2
    assert compared(service, 0, since_sec=600.0)["decisions"] == 3
    assert compared(service, 0)["decisions"] == 4


async def test_the_permit_that_our_executor_consumed_is_a_proof(service: Recording) -> None:
    service.judge("plan-1", closing(), stream=SHADOW)
    service.append(
        "executor.audit", {"step": "begin", "plan_id": "plan-1", "permit:Governor": '{"granted": true}'}
    )
    assert compared(service, 0)["agree"]["proof"] == 1


async def test_results_that_are_trimmed_make_an_answer_unknown(service: Recording) -> None:
    judged(service, "plan-1")  # published at 1 ms of the epoch
    service.append("apply.result", {"plan_id": "other", "executed": "False", "error": "x"})
    [why] = compared(service, 1)["unknown"]
    assert "its results are trimmed" in why


async def test_keys_of_a_wrong_type_show_no_answer(service: Recording) -> None:
    judged(service, "plan-1")
    service.redis.rpush("quantum:governor:block:plan-1", "x")
    service.redis.hset("quantum:permit:plan-1", "granted", "true")
    service.redis.set("quantum:stream:apply.result", "x")
    service.redis.set("quantum:stream:executor.audit", "x")
    assert compared(service, 1)["compared"] == 0
