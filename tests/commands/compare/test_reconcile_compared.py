"""`compare reconcile`: the shadow's holds beside those of another engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.compare import CompareOptions, compare
from tests.commands.recording import Recording

EVENTS = "quantum:reconcile:shadow:events"


class Holds:
    """Episodes of the shadow, and decisions of P3.3, at times of the past."""

    def __init__(self, service: Recording) -> None:
        self.service = service
        self.begin_ms = (service.redis.time()[0] - 7_200) * 1000

    def id(self, at_sec: int) -> str:
        return f"{self.begin_ms + at_sec * 1000}-*"

    def event(self, at_sec: int, name: str, symbol: str = "BTCUSDT") -> None:
        fields = {"event": name, "symbol": symbol, "reason": "qty_mismatch"}
        self.service.append_to(EVENTS, fields, self.id(at_sec))

    def episode(self, begin_sec: int, end_sec: int, symbol: str = "BTCUSDT") -> None:
        self.event(begin_sec, "HOLD_SET", symbol)
        self.event(end_sec, "HOLD_CLEARED", symbol)

    def decided(self, at_sec: int, symbol: str = "BTCUSDT", *, held: bool) -> None:
        record = {"symbol": symbol, "case": {"hold": held}}
        self.service.append("permit.audit", {"record": json.dumps(record)}, self.id(at_sec))

    def compared(self, exit_code: int, **options: Any) -> dict[str, Any]:
        environ = self.service.environ
        assert compare(environ, "reconcile", CompareOptions(**options), as_json=True) == exit_code
        shown: dict[str, Any] = json.loads(self.service.capsys.readouterr().out)
        return shown


@pytest.fixture
def holds(service: Recording) -> Holds:
    return Holds(service)


async def test_a_hold_that_p33_has_found_in_the_same_time_agrees(holds: Holds) -> None:
    holds.episode(0, 60)
    holds.decided(1, held=False)  # the other engine may need as long
    holds.decided(20, held=True)
    holds.decided(200, held=True)  # a hold outlives its cause
    shown = holds.compared(0)
    assert (shown["decisions"], shown["agree"]) == (1, {"proof": 1, "absence": 0})


async def test_each_difference_has_both_reasons(holds: Holds) -> None:
    holds.episode(0, 60)
    holds.decided(20, held=False)
    holds.decided(30, held=False)
    holds.decided(2_000, "ETHUSDT", held=True)
    holds.decided(2_060, "ETHUSDT", held=True)
    shown = holds.compared(1)
    found = [
        (each["symbol"], each["ours"]["reason"], each["theirs"]["side"]) for each in shown["differences"]
    ]
    assert found == [
        ("BTCUSDT", "qty_mismatch", {"yes": False, "reason": "not held"}),
        ("ETHUSDT", "no case", {"yes": True, "reason": "held"}),
    ]
    assert shown["differences"][0]["theirs"]["seen_in"] == "2 decisions of P3.3 without a hold"


async def test_a_hold_that_nothing_shows_is_unknown(holds: Holds) -> None:
    holds.episode(0, 60)
    holds.decided(30, "ETHUSDT", held=False)
    assert list(holds.compared(1)["unknown"]) == ["P3.3 decided no plan of the symbol while the hold lasted"]


@pytest.mark.parametrize("by", ["executor", "operator"])
async def test_a_hold_of_the_executor_or_an_operator_is_not_counted(holds: Holds, by: str) -> None:
    holds.episode(0, 60)
    holds.decided(20, held=True)
    holds.decided(1_000, "ETHUSDT", held=True)
    for symbol, begin_sec, end_sec in (("BTCUSDT", 10, 50), ("ETHUSDT", 990, 1_010)):
        if by == "executor":
            for step, at_sec in (("hold", begin_sec), ("release", end_sec)):
                holds.service.append("executor.audit", {"step": step, "symbol": symbol}, holds.id(at_sec))
        else:
            for event, at_sec in (("HOLD_SET", begin_sec), ("HOLD_CLEARED", end_sec)):
                fields = {"event": event, "symbol": symbol, "by": "operator:anna"}
                holds.service.append("reconcile.events", fields, holds.id(at_sec))
    shown = holds.compared(1)
    assert shown["compared"] == 0
    assert list(shown["unknown"]) == ["the executor or an operator held the symbol then"]


@pytest.mark.parametrize(("sig", "agrees"), [("theirs:1", True), ("", True), ("exec:p33-1", False)])
async def test_a_hold_that_stands_now_counts_for_a_case_that_lasts(
    holds: Holds, sig: str, agrees: bool
) -> None:
    holds.event(0, "HOLD_SET")
    holds.event(20, "MANUAL_REQUIRED")
    redis = holds.service.redis
    redis.set("quantum:reconcile:hold:BTCUSDT", "1")
    redis.set("quantum:reconcile:hold_sig:BTCUSDT", sig)
    shown = holds.compared(0 if agrees else 1)
    assert shown["agree"]["proof"] == agrees


async def test_a_repair_ends_an_episode_and_only_the_newest_are_compared_when_asked(holds: Holds) -> None:
    holds.event(0, "HOLD_SET")
    holds.event(5, "AUTO_REPAIR")
    holds.decided(900, held=False)
    holds.episode(1_000, 1_060)
    holds.decided(1_030, held=True)
    assert holds.compared(0, last=1)["decisions"] == 1
    assert holds.compared(0)["decisions"] == 2


async def test_records_that_cannot_be_read_show_nothing(holds: Holds) -> None:
    holds.service.append("permit.audit", {"record": "{"}, holds.id(10))
    holds.service.append("permit.audit", {"record": '{"symbol":null,"case":null}'}, holds.id(11))
    assert holds.compared(1)["decisions"] == 0
    holds.episode(0, 60)
    assert holds.compared(1)["compared"] == 0
