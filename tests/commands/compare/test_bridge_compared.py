"""`compare bridge`: the shadow's answers to intents beside the plans of another bridge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.compare import CompareOptions, compare
from tests.commands.recording import Recording

AUDIT = "quantum:intent_bridge:shadow:audit"


class Intents:
    """Intents at times of the past, answered by our shadow, and the plans of another bridge."""

    def __init__(self, service: Recording) -> None:
        self.service = service
        self.begin_ms = (service.redis.time()[0] - 600) * 1000
        service.append("apply.plan", {"plan_id": "before", "symbol": "XUSDT"}, f"{self.begin_ms - 60_000}-0")

    def answered(self, at_sec: int, symbol: str = "BTCUSDT", **changes: str) -> None:
        fields = {
            "entry_id": f"{self.begin_ms + at_sec * 1000}-0", "stream": "trade.intent", "symbol": symbol,
            "outcome": "plan", "reason": "", "plan_id": f"ours-{at_sec}", "side": "BUY", "qty": "0.5",
            "action": "ENTRY_PROPOSED", "eval_type": "ENTRY", "mode": "shadow",
        }  # fmt: skip
        self.service.append_to(AUDIT, fields | changes, f"{self.begin_ms + at_sec * 1000 + 3}-0")

    def refused(self, at_sec: int, reason: str, symbol: str = "BTCUSDT") -> None:
        empty = dict.fromkeys(("side", "qty", "action"), "")
        self.answered(at_sec, symbol, outcome="refused", reason=reason, **empty)

    def planned(self, at_sec: int, symbol: str = "BTCUSDT", plan_id: str = "", **changes: str) -> None:
        fields = {
            "plan_id": plan_id or f"theirs-{at_sec}", "symbol": symbol, "side": "BUY", "qty": "0.5",
            "action": "ENTRY_PROPOSED", "source": "intent_bridge",
        }  # fmt: skip
        self.service.append("apply.plan", fields | changes, f"{self.begin_ms + at_sec * 1000 + 40}-*")

    def compared(self, exit_code: int) -> dict[str, Any]:
        environ = self.service.environ
        assert compare(environ, "bridge", CompareOptions(), as_json=True) == exit_code
        shown: dict[str, Any] = json.loads(self.service.capsys.readouterr().out)
        return shown


@pytest.fixture
def intents(service: Recording) -> Intents:
    return Intents(service)


async def test_plans_are_found_by_their_id_or_by_symbol_direction_and_time(intents: Intents) -> None:
    intents.answered(0)
    intents.planned(0, plan_id="ours-0")
    intents.answered(60)
    intents.planned(60, qty="0.501")
    intents.answered(120, side="SELL", action="FULL_CLOSE_PROPOSED", eval_type="EXIT", qty="0")
    intents.planned(120, side="CLOSE", action="FULL_CLOSE_PROPOSED", source="exit", signature="intent_bridge")
    intents.refused(180, "lockdown")
    shown = intents.compared(0)
    assert (shown["decisions"], shown["agree"]) == (4, {"proof": 3, "absence": 1})


async def test_each_difference_has_both_reasons(intents: Intents) -> None:
    intents.answered(0)
    intents.refused(60, "anti_churn")
    intents.planned(60)
    intents.answered(120)
    intents.planned(120, qty="0.4", action="")
    intents.planned(200, "ETHUSDT")
    intents.planned(200, "ETHUSDT", plan_id="no bridge's", source="harvest")
    shown = intents.compared(1)
    found = [
        (each["ours"]["reason"], each["theirs"]["side"]["reason"], each["note"])
        for each in shown["differences"]
    ]
    assert found == [
        ("BUY 0.5", "BUY 0.4", "quantity 0.5, theirs 0.4"),
        ("anti_churn", "BUY 0.5", ""),
        ("BUY 0.5", "no plan", ""),
        ("no intent of ours", "BUY 0.5", ""),
    ]
    assert shown["differ"] == {"proof": 3, "absence": 1}
    assert compare(intents.service.environ, "bridge", CompareOptions(), as_json=False) == 1
    text = " ".join(intents.service.capsys.readouterr().out.split())
    assert "NONE anti_churn ≠ PLAN BUY 0.5 (plan theirs-60, 40 ms later)" in text


async def test_the_other_direction_is_no_plan_of_the_intent(intents: Intents) -> None:
    intents.answered(0)
    intents.planned(1, side="SELL")
    assert intents.compared(1)["differ"] == {"proof": 1, "absence": 1}


async def test_several_within_ten_seconds_are_not_told_apart(intents: Intents) -> None:
    intents.answered(0)
    intents.answered(2)
    intents.planned(3)
    intents.answered(60, "ETHUSDT")
    intents.planned(61, "ETHUSDT")
    intents.planned(62, "ETHUSDT")
    shown = intents.compared(1)
    assert shown["compared"] == 0 and sum(shown["unknown"].values()) == 3


async def test_trimmed_plans_and_young_intents_are_unknown(intents: Intents) -> None:
    service = intents.service
    intents.answered(0)
    service.redis.delete("quantum:stream:apply.plan")
    service.append("apply.plan", {"plan_id": "later", "symbol": "XUSDT"})
    young_ms = service.redis.time()[0] * 1000
    young = {"entry_id": f"{young_ms + 1_000}-0", "outcome": "plan", "symbol": "BTCUSDT", "side": "BUY"}
    service.append_to(AUDIT, young)
    assert set(intents.compared(1)["unknown"]) == {
        "its plan may still come",
        "plans of that time are trimmed",
    }


async def test_without_a_shadow_there_is_nothing_to_compare(intents: Intents) -> None:
    assert intents.compared(1)["decisions"] == 0
