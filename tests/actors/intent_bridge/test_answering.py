"""What becomes of intents, from the stream to `apply.plan`."""

from __future__ import annotations

import hashlib
import json

import pytest
import trio

from brain.identifiers import EntryId
from brain.intents.intent import Lane
from brain.plans.plan import Plan
from brain.plans.plan_fields import read_plan
from tests.actors.bridge_rig import PRICE, BridgeRig, actor_rules, answered, running_bridge
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_intent_becomes_a_plan_that_the_guard_can_read(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        entry_id = rig.publish(leverage="5", confidence="0.8", kill_score="0.3")
        await answered()
    (plan,) = rig.plans
    assert plan == {
        "plan_id": hashlib.sha256(f"{entry_id}|BTCUSDT|BUY".encode()).hexdigest()[:16],
        "decision": "EXECUTE",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "qty": "1",
        "reduceOnly": "false",
        "action": "ENTRY_PROPOSED",
        "source": "intent_bridge",
        "signature": "intent_bridge",
        "timestamp": entry_id[:10],
        "eval_type": "ENTRY",
        "leverage": "5",
        "confidence": "0.8",
        "kill_score": "0.3",
        "entry_price": "100",
        "breakeven_price": "100.1",
    }
    read = read_plan({name.encode(): text.encode() for name, text in plan.items()})
    assert isinstance(read, Plan)
    assert rig.pending() == []


async def test_the_audit_has_the_intent_and_its_plan(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        entry_id = rig.publish()
        await answered()
    (entry,) = rig.audit
    assert (entry["entry_id"], entry["stream"], entry["outcome"]) == (entry_id, "trade.intent", "plan")
    assert entry["plan_id"] == rig.plans[0]["plan_id"]
    assert (entry["mark_price"], entry["position_amt"], entry["qty"]) == ("100", "0", "1")
    record = json.loads(entry["record"])
    assert record["answer"]["plan"] == rig.plans[0]
    assert record["fields"] == {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1"}


async def test_no_permit_and_no_other_key_is_written(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        before = {*rig.redis.keys()}
        entry_id = rig.publish()
        await answered()
    written = {*rig.redis.keys()} - before
    assert written == {
        rig.keys.intents, rig.keys.plans, rig.names.audit, rig.names.seen(entry_id),
        rig.names.trade_intents.last_id,
    } - before  # fmt: skip


@pytest.mark.parametrize("second", [Lane.HARVEST, Lane.TRADE])
async def test_closes_of_one_symbol_whose_entries_have_one_id_become_one_plan(
    rig: BridgeRig, second: Lane
) -> None:
    rig.position("BTCUSDT", "2")
    first = Lane.TRADE if second is Lane.HARVEST else Lane.HARVEST
    fields = {Lane.TRADE: {"side": "CLOSE", "quantity": ""}, Lane.HARVEST: {"percentage": "50"}}
    async with running_bridge(rig):
        ids = {rig.publish(lane=first, **fields[first])}
        await trio.testing.wait_all_tasks_blocked()
        ids.add(rig.publish(lane=second, **fields[second]))
        await answered()
        assert len(ids) == 1
        assert rig.outcomes == ["plan", "duplicate_intent"]
        assert [plan["plan_id"] for plan in rig.plans] == [rig.audit[1]["plan_id"]]
        assert rig.details() == {"intent_id": ids.pop()}
        assert rig.pending(first) == rig.pending(second) == []


async def test_an_intent_of_before_the_group_is_none_of_ours(rig: BridgeRig) -> None:
    rig.publish()
    async with running_bridge(rig):
        await answered()
        rig.publish()
        await answered()
    assert len(rig.plans) == 1


async def test_an_old_intent_becomes_no_plan(rig: BridgeRig) -> None:
    await rig.store.trade_intents.create(lost=False)
    rig.publish()
    await trio.sleep(30.5)
    async with running_bridge(rig):
        rig.publish()
        await answered()
    assert rig.outcomes == ["intent_expired", "plan"]
    assert rig.details(0)["limit_sec"] == 30


async def test_lockdown_stops_entries_and_no_close(rig: BridgeRig) -> None:
    rig.redis.set(rig.names.mode, "LOCKDOWN")
    rig.position("ETHUSDT", "2")
    async with running_bridge(rig):
        rig.publish()
        rig.publish("ETHUSDT", side="CLOSE", quantity="")
        rig.publish("ETHUSDT", side="SELL", quantity="1")
        rig.publish("ETHUSDT", lane=Lane.EXIT)
        await answered()
        assert rig.now.lockdown
    assert sorted(rig.outcomes) == ["lockdown", "plan", "plan", "plan"]


async def test_a_lockdown_that_comes_between_reading_and_writing_counts(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        read = rig.store.bridge_state

        async def locked_behind(*arguments: object, **named: object) -> object:
            state = await read(*arguments, **named)  # type: ignore[arg-type]
            rig.redis.set(rig.names.mode, "LOCKDOWN")
            return state

        rig.store.bridge_state = locked_behind  # type: ignore[method-assign, assignment]
        rig.publish()
        await answered()
    assert (rig.outcomes, rig.plans) == (["lockdown"], [])


@pytest.mark.parametrize("position", ["0", "1"])
async def test_a_close_that_comes_between_reading_and_writing_counts(position: str) -> None:
    """As of another lane, at the same moment; for what only the cap makes a reduction, and refusals, too."""
    rig = BridgeRig(actor_rules(QT_MAX_NOTIONAL_USD="100", MAX_EXPOSURE_PCT="1"))
    rig.position("BTCUSDT", position)
    async with running_bridge(rig):
        read = rig.store.bridge_state

        async def closed_behind(*arguments: object, **named: object) -> object:
            state = await read(*arguments, **named)  # type: ignore[arg-type]
            rig.redis.set(rig.names.last_close("BTCUSDT"), str(await rig.store.redis_now_ms()))
            return state

        rig.store.bridge_state = closed_behind  # type: ignore[method-assign, assignment]
        rig.publish(side="SELL", quantity="2")
        await answered()
        assert (rig.outcomes, rig.plans) == (["anti_churn"], [])
        rig.publish(side="SELL", quantity="1")
        await answered()
    assert rig.outcomes[1:] == (["plan"] if position == "1" else ["anti_churn"])


async def test_a_state_that_keeps_changing_is_contended(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        read, times = rig.store.bridge_state, 0

        async def changing(*arguments: object, **named: object) -> object:
            nonlocal times
            times += 1
            state = await read(*arguments, **named)  # type: ignore[arg-type]
            rig.redis.set(rig.names.mode, f"mode {times}")
            return state

        rig.store.bridge_state = changing  # type: ignore[method-assign, assignment]
        rig.publish()
        await answered()
    assert (rig.outcomes, times) == (["state_contended"], 6)


async def test_no_entry_follows_an_own_close_for_900_s(rig: BridgeRig) -> None:
    rig.position("BTCUSDT", "1")
    async with running_bridge(rig):
        rig.publish(side="CLOSE", quantity="")
        rig.publish(side="BUY")
        await answered()
        assert rig.outcomes == ["plan", "anti_churn"]
        await trio.sleep(899)
        rig.publish(side="BUY")
        await answered()
        await trio.sleep(1)
        rig.publish(side="BUY")
        await answered()
    assert rig.outcomes == ["plan", "anti_churn", "anti_churn", "plan"]


async def test_without_a_hold_time_an_entry_may_follow_a_close() -> None:
    rig = BridgeRig(actor_rules(MIN_HOLD_SECONDS="0"))
    rig.position("BTCUSDT", "1")
    async with running_bridge(rig):
        rig.publish(side="CLOSE", quantity="")
        rig.publish(side="BUY")
        await answered()
    assert rig.outcomes == ["plan", "plan"]


async def test_only_symbols_of_the_universe_are_entered(rig: BridgeRig) -> None:
    rig.allow("ETHUSDT")
    rig.position("BTCUSDT", "1")
    async with running_bridge(rig):
        rig.publish("BTCUSDT")
        rig.publish("NONEUSDT")
        rig.publish("BTCUSDT", side="CLOSE")
        await answered()
    assert rig.outcomes == ["symbol_not_in_universe", "symbol_not_in_universe", "plan"]


async def test_without_a_mark_price_an_entry_is_refused(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        await answered()
        rig.price = None
        rig.prove()
        rig.publish(quantity="", position_usd="100")
        await answered()
    assert rig.outcomes == ["no_price"]


async def test_intents_of_the_start_wait_for_the_first_prices_and_exits_do_not(rig: BridgeRig) -> None:
    rig.price = None
    rig.position("ETHUSDT", "1")
    async with running_bridge(rig):
        rig.publish()
        rig.publish("ETHUSDT", lane=Lane.EXIT)
        await trio.sleep(1.5)
        assert [entry["stream"] for entry in rig.audit] == ["exit.intent"]
        rig.price = PRICE
        await trio.sleep(1.5)
    assert rig.outcomes == ["plan", "plan"]


async def test_prices_are_waited_for_5_s_at_most(rig: BridgeRig) -> None:
    rig.price = None
    rig.prove()
    async with running_bridge(rig):
        rig.publish()
        await trio.sleep(6)
    assert rig.outcomes == ["no_price"]


async def test_exposure_rests_on_fresh_equity() -> None:
    rig = BridgeRig(actor_rules(MAX_EXPOSURE_PCT="50"))
    rig.position("ETHUSDT", "-4")
    async with running_bridge(rig):
        rig.publish()
        await answered()
        rig.redis.hset(rig.names.portfolio, {"equity_usd": "1000", "timestamp": str(epoch_sec(rig))})
        rig.publish()
        rig.publish(quantity="1.001")
        await answered()
        rig.redis.hset(rig.names.equity, {"equity": "100", "ts": str(epoch_sec(rig))})
        rig.publish()
        await answered()
    assert rig.outcomes == ["exposure", "plan", "exposure", "exposure"]


def epoch_sec(rig: BridgeRig) -> int:
    return rig.redis.now_ms() // 1000


async def test_many_intents_at_once_become_as_many_plans_in_their_order(rig: BridgeRig) -> None:
    async with running_bridge(rig):
        ids = [rig.publish(("BTCUSDT", "ETHUSDT", "SOLUSDT")[n % 3]) for n in range(200)]
        await answered()
        await trio.sleep(1)
    assert [entry["entry_id"] for entry in rig.audit] == ids
    assert len({plan["plan_id"] for plan in rig.plans}) == 200
    assert dict(rig.now.outcomes) == {"plan": 200}
    assert len(rig.now.recent) == 20
    assert rig.now.recent[0].entry_id == EntryId(ids[-1])
