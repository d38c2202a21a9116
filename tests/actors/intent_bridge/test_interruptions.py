"""Faults between reading an intent and its plan: one answer all the same."""

from __future__ import annotations

from random import Random

import pytest
import trio

import actors.intent_bridge.proposals
from brain.intents.answer import Answer
from brain.intents.case import IntentCase
from brain.intents.deciding import decide
from brain.intents.intent import Lane
from channels import Lease
from tests.actors.bridge_rig import BridgeRig, actor_rules, answered, running_bridge
from tests.background import count_crashes
from tests.virtual_time import virtual_time

pytestmark = virtual_time

METHODS = ("bridge_state", "answer_intents", "trade_intents.read_new", "trade_intents.recover")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_call_that_fails_makes_no_second_plan_and_loses_none(
    rig: BridgeRig, method: str, when: str
) -> None:
    async with running_bridge(rig):
        for number in range(6):
            rig.store.faults.fail_next("before" if when == "before" else "after", method=method, count=2)
            for symbol in ("BTCUSDT", "ETHUSDT"):
                rig.publish(symbol)
            rig.publish("SOLUSDT", lane=Lane.EXIT, intent_id=f"e{number}", action="PARTIAL_50")
            await trio.sleep(3)
        rig.store.faults.forget()
        await trio.sleep(5)
        assert rig.pending() == rig.pending(Lane.EXIT) == []
    assert sorted(rig.outcomes) == ["flat_close"] * 6 + ["plan"] * 12
    assert len({plan["plan_id"] for plan in rig.plans}) == len(rig.plans) == 12


async def test_random_faults_and_restarts_leave_one_answer_an_intent(rig: BridgeRig) -> None:
    random = Random(3)  # noqa: S311 - the same faults in every run
    rig.position("SOLUSDT", "5")
    published = 0
    await rig.take_lease()
    for _ in range(25):
        async with running_bridge(rig):
            for _ in range(random.randint(1, 12)):
                rig.publish(random.choice(("BTCUSDT", "ETHUSDT")))
                rig.publish("SOLUSDT", lane=Lane.HARVEST, action="PARTIAL_50", intent_id=str(published))
                published += 1
                if random.random() < 0.4:
                    rig.store.faults.fail_next(random.choice(("before", "after")), count=random.randint(1, 3))
                await trio.sleep(random.uniform(0, 0.3))
            # The actor is cancelled here, wherever it is.
    rig.store.faults.forget()
    async with running_bridge(rig):
        await trio.sleep(10)
    assert rig.outcomes.count("plan") == len(rig.plans) == 2 * published
    assert len({plan["plan_id"] for plan in rig.plans}) == 2 * published


async def test_an_intent_that_fails_three_times_is_a_dead_letter_and_holds_up_no_other(
    rig: BridgeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(case: IntentCase) -> Answer:
        if case.intent.symbol == "ETHUSDT":
            raise ZeroDivisionError
        return decide(case)

    monkeypatch.setattr(actors.intent_bridge.proposals, "decide", raising)
    await rig.store.trade_intents.create(lost=False)
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        rig.publish(symbol)
    assert await count_crashes(lambda: running_bridge(rig), runs=6, for_sec=2) == 3
    assert sorted(rig.outcomes) == ["evaluation_failed", "plan", "plan"]
    ((dead),) = rig.entries(rig.names.trade_intents.dead)
    assert (dead["error"], dead["symbol"]) == ("evaluation_failed", "ETHUSDT")
    assert rig.pending() == []
    assert {plan["symbol"] for plan in rig.plans} == {"BTCUSDT", "SOLUSDT"}


async def test_an_intent_that_was_delivered_to_a_process_that_died_is_answered(rig: BridgeRig) -> None:
    await rig.store.trade_intents.create(lost=False)
    rig.publish()
    (entry,) = await rig.another_store("me").trade_intents.read_new(count=9, block_ms=0)
    await trio.sleep(2)
    async with running_bridge(rig):
        await answered()
    assert [each["entry_id"] for each in rig.audit] == [entry.id]
    assert len(rig.plans) == 1


async def test_without_the_lease_nothing_is_read(rig: BridgeRig) -> None:
    rig.lease.send(Lease(None, "another"))
    async with running_bridge(rig):
        rig.publish()
        await trio.sleep(5)
        assert (rig.outcomes, rig.pending()) == ([], [])
        await rig.take_lease()
        await trio.sleep(1)
    assert rig.outcomes == ["plan"]


async def test_a_lease_that_was_lost_writes_nothing_until_it_is_held_again(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        await rig.store.release_lease(rig.lease.value.fence or "")  # type: ignore[union-attr, arg-type]
        rig.publish()
        await trio.sleep(2)
        assert rig.plans == []
        await rig.take_lease()
        await trio.sleep(3)
    assert rig.outcomes == ["plan"]


async def test_a_lost_group_goes_on_where_it_was(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        rig.publish()
        await answered()
        rig.redis.xgroup_destroy(rig.keys.intents, rig.names.trade_intents.group)
        rig.publish()
        await trio.sleep(4)
    assert rig.outcomes == ["plan", "plan"]


async def test_a_stream_of_a_wrong_type_is_waited_for(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        rig.redis.set(rig.names.audit, "text")
        rig.publish()
        await trio.sleep(3)
        assert rig.plans == []
        rig.redis.delete(rig.names.audit)
        await trio.sleep(3)
    assert rig.outcomes == ["plan"]


async def test_a_trimmed_intent_is_acknowledged(rig: BridgeRig) -> None:
    await rig.store.trade_intents.create(lost=False)
    entry_id = rig.publish()
    await rig.another_store("me").trade_intents.read_new(count=9, block_ms=0)
    rig.redis.xdel(rig.keys.intents, entry_id)
    await trio.sleep(2)
    async with running_bridge(rig):
        await trio.sleep(1)
        assert rig.pending() == []
    assert rig.outcomes == []


async def test_another_bridge_is_waited_for_on_each_lane_alone(rig: BridgeRig) -> None:
    other = rig.another_store("theirs")
    await other.exit_intents.create(lost=False)
    rig.publish("BTCUSDT", lane=Lane.EXIT)
    await other.exit_intents.read_new(count=9, block_ms=0)
    async with running_bridge(rig):
        rig.publish()
        rig.publish("ETHUSDT", lane=Lane.EXIT)
        await trio.sleep(10)
        assert [entry["stream"] for entry in rig.audit] == ["trade.intent"]
        await trio.sleep(25)
    assert [entry["stream"] for entry in rig.audit] == ["trade.intent", "exit.intent", "exit.intent"]


async def test_a_takeover_and_a_shadow_wait_for_no_other_bridge() -> None:
    for changes in ({"P33_TAKE_OVER": "true"}, {"P33_INTENT_BRIDGE": "shadow"}):
        rig = BridgeRig(actor_rules(**changes))
        other = rig.another_store("theirs")
        await other.trade_intents.create(lost=False)
        rig.publish("ETHUSDT")
        await other.trade_intents.read_new(count=9, block_ms=0)
        async with running_bridge(rig):
            rig.publish()
            await trio.sleep(1)
        assert "plan" in rig.outcomes
        assert len(rig.plans) == (0 if rig.rules.shadow else len(rig.outcomes))


async def test_a_stopped_bridge_reads_no_more_and_the_next_one_answers_the_rest(rig: BridgeRig) -> None:
    async with running_bridge(rig) as heartbeat:
        ids = [rig.publish() for _ in range(100)]
        heartbeat.stopping.set()
        await trio.sleep(3)
        before = len(rig.audit)
        ids.append(rig.publish())
        await trio.sleep(3)
        assert len(rig.audit) == before
    async with running_bridge(rig):
        await trio.sleep(3)
    assert sorted(entry["entry_id"] for entry in rig.audit) == sorted(ids)
    assert len(rig.plans) == 101


async def test_a_bridge_starts_without_symbols_and_refuses_entries_then(rig: BridgeRig) -> None:
    rig.symbol_rules.withdraw()
    rig.position("ETHUSDT", "1")
    async with running_bridge(rig):
        rig.publish()
        rig.publish("ETHUSDT", side="CLOSE")
        await trio.sleep(1)
        assert rig.outcomes == []
        await trio.sleep(5)
    assert rig.outcomes == ["symbol_not_in_universe", "plan"]
