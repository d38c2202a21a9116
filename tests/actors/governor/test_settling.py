"""Grants that results settle, and grants on which no word comes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from brain.identifiers import FencingToken
from store.governor_records import GrantChange
from store.keys import Keys
from store.memory.store import MemoryStore
from store.records import RedisRun
from tests.actors.governor_rig import (
    EPOCH_MS,
    PREFIX,
    GovernorRig,
    GovernorWorld,
    actor_rules,
    running_governor,
)
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_fill_replaces_what_was_reserved_until_a_snapshot_shows_it(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        await trio.sleep(10)
        rig.result("one", filled_qty="0.8", avg_price="110")
        await trio.sleep(0.05)
        grant = rig.reserved()["one"]
        assert (grant["notional"], grant["qty"]) == (88, 0.8)
        assert grant["filled_ms"] > grant["granted_ms"] + 9_000
        assert rig.opened() == "88"
        assert rig.window() == ["one"]
        assert rig.text(rig.own.last_exec("BTCUSDT")) == str(grant["filled_ms"] / 1000)
        rig.amounts["BTCUSDT"] += 1
        await trio.sleep(2.5)
        assert rig.reserved() == {}
        assert (rig.window(), rig.opened()) == (["one"], "88")


async def test_a_grant_that_is_not_filled_gives_everything_back(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.failed("one", "binance_error:-2019")
        await trio.sleep(0.1)
        assert (rig.reserved(), rig.window(), rig.opened()) == ({}, [], "0")
        assert rig.text(rig.own.last_exec("BTCUSDT")) is None
        rig.publish("two")
        await trio.sleep(0.1)
        assert rig.reason("two") == "governor_granted"


async def test_a_repeated_result_and_one_of_an_unknown_plan_change_nothing(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        for _ in range(3):
            rig.result("one", filled_qty="0.5")
            rig.result("never-granted", filled_qty="0.5")
            await trio.sleep(0.1)
        await trio.sleep(2.5)
    assert rig.opened() == "50"
    assert rig.window() == ["one"]
    assert rig.redis.xpending(rig.keys.results, "governor_result_monitor") == {}


async def test_a_partial_fill_keeps_the_grant_and_the_final_one_settles_it(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.result("one", filled_qty="0.4", order_status="PARTIALLY_FILLED")
        await trio.sleep(0.1)
        assert rig.reserved()["one"]["notional"] == 100
        rig.result("one", filled_qty="0.9")
        await trio.sleep(0.05)
        assert rig.opened() == "90"


async def test_an_unknown_outcome_keeps_the_grant(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.failed("one", "-1007: execution status unknown")
        await trio.sleep(0.5)
        assert set(rig.reserved()) == {"one"}
        assert rig.opened() == "100"


async def test_an_executor_without_a_permit_of_p33_frees_the_grant_with_its_permit(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.failed("one", "permit_denied (P3.3: stale_exchange_state)")
        await trio.sleep(0.1)
        assert rig.permit("one") is None
        assert (rig.reserved(), rig.window()) == ({}, [])


async def test_a_result_that_was_delivered_often_before_this_process_is_settled(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.3)
    rig.result("one")
    group, lease = rig.store.settled_results, rig.lease.value
    assert lease is not None and lease.fence is not None
    await group.read_new(count=10, block_ms=1)
    for _ in range(3):
        await group.recover(fence=lease.fence, after="0", idle_ms=0, count=10)
    async with running_governor(rig, rig.make()):
        await trio.sleep(120)
    assert rig.window() == ["one"]


async def test_a_result_of_anothers_grant_counts_after_the_lease_came_back(
    rig: GovernorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_governor(rig):
        first = rig.lease.value
        assert first is not None and first.fence is not None
        rig.publish("mine", "ETHUSDT")
        await trio.sleep(2)
        await rig.store.release_lease(first.fence)
        rig.lease.withdraw()
        await trio.sleep(3)
        other = MemoryStore(rig.redis, keys=Keys(PREFIX), consumer="other")
        world = GovernorWorld(other, rig.redis, rig.clock)
        async with running_governor(world):
            held = world.lease.value
            assert held is not None and held.fence is not None
            world.publish("theirs")
            await trio.sleep(0.5)
        assert rig.is_granted("theirs")
        await other.release_lease(held.fence)
        rig.result("theirs")
        await other.settled_results.read_new(count=10, block_ms=1)
        asked = rig.store.governor_run

        async def asked_slowly(known: str | None) -> RedisRun:
            await trio.sleep(0.005)
            return await asked(known)

        monkeypatch.setattr(rig.store, "governor_run", asked_slowly)
        await rig.take_lease()
        await trio.sleep(120)
    assert rig.window() == ["theirs"]


async def test_a_result_that_came_before_its_grant_ends_it_within_a_second(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.failed("one", "permit_denied (P3.3: reconcile_hold_active)")
        await trio.sleep(0.1)
        rig.publish("one")
        await trio.sleep(0.1)
        assert set(rig.reserved()) == {"one"}
        await trio.sleep(1.2)
        assert (rig.reserved(), rig.window(), rig.opened(), rig.permit("one")) == ({}, [], "0", None)


async def test_a_result_that_redis_has_lost_ends_no_later_grant(rig: GovernorRig) -> None:
    """Its executor reads the plan again, and may execute it."""
    rig.position("BTCUSDT", "1")
    async with running_governor(rig):
        await trio.sleep(0.5)
        before = rig.redis.copy()
        rig.failed("one", "permit_denied (P3.3: reconcile_hold_active)")
        await trio.sleep(0.1)
        rig.redis.restart(with_keys_of=before)
        await trio.sleep(3)
        rig.publish_close("one")
        await trio.sleep(2.2)
        assert rig.is_granted("one")
        assert set(rig.reserved()) == {"one"}


async def test_a_refusal_takes_back_the_permit_with_the_grant(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.failed("one", "source_not_allowed:here")
        await trio.sleep(0.1)
    assert (rig.permit("one"), rig.reserved(), rig.window()) == (None, {}, [])


async def test_a_result_before_its_grant_is_kept_until_it_is_settled(
    rig: GovernorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_governor(rig):
        rig.failed("one", "permit_denied (P3.3: reconcile_hold_active)")
        await trio.sleep(0.1)
        written, asked = rig.store.change_grants, 0

        async def changed_once(
            fence: FencingToken, versions: tuple[str, str], changes: Sequence[GrantChange]
        ) -> Sequence[bool] | None:
            nonlocal asked
            asked += 1
            return None if asked == 1 else await written(fence, versions, changes)

        monkeypatch.setattr(rig.store, "change_grants", changed_once)
        rig.publish("one")
        await trio.sleep(2.2)
        assert (asked, rig.reserved(), rig.window()) == (2, {}, [])


async def test_a_permit_that_another_executor_has_consumed_keeps_its_grant(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.redis.delete("quantum:permit:one")
        rig.failed("one", "permit_timeout (missing: Governor)")
        await trio.sleep(0.1)
        assert set(rig.reserved()) == {"one"}
        rig.result("one")
        await trio.sleep(2.5)
        assert rig.reserved() == {}
        assert rig.window() == ["one"]


async def test_a_settled_close_counts_what_it_reduced(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.publish_close("bye")
        await trio.sleep(0.1)
        rig.result("bye", side="SELL", filled_qty="1.5", avg_price="90")
        await trio.sleep(0.1)
    assert rig.reserved() == {}
    assert rig.text(rig.own.reduced("BTCUSDT", rig.date)) == "135"


async def test_a_settlement_whose_answer_is_lost_counts_once(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.store.faults.fail_next("after", method="change_grants")
        rig.result("one", filled_qty="0.5")
        await trio.sleep(4)
    assert (rig.opened(), rig.window(), rig.reserved()) == ("50", ["one"], {})
    assert rig.redis.xpending(rig.keys.results, "governor_result_monitor") == {}


async def test_five_results_of_errors_disarm_at_the_next_judgement_once_a_day() -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0, max_exec_per_hour=0, max_exec_per_5min=0))
    rig.position("ETHUSDT", "1")
    async with running_governor(rig):
        for number in range(5):
            rig.publish(f"plan-{number}", qty="0.1")
            await trio.sleep(0.1)
            rig.failed(f"plan-{number}", "binance_error:-2019")
            await trio.sleep(0.1)
        assert rig.text("quantum:governor:trading_state") is None
        rig.publish("next", qty="0.1")
        rig.publish_close("bye", "ETHUSDT")
        await trio.sleep(0.2)
        assert rig.text("quantum:governor:trading_state") == "REDUCING"
        assert rig.reason("next") == "kill_switch_active"
        assert rig.reason("bye") == "governor_granted_close"
        (event,) = rig.entries(rig.own.events)
        assert (event["event"], event["reason"]) == ("AUTO_DISARM", "repeated_errors")
        # An operator's word for the rest of the day.
        rig.redis.set("quantum:governor:trading_state", "ACTIVE")
        rig.publish("again", qty="0.1")
        await trio.sleep(0.2)
        assert rig.text("quantum:governor:trading_state") == "ACTIVE"
        assert len(rig.entries(rig.own.events)) == 1


async def test_a_burst_disarms_and_the_rest_of_the_batch_is_judged_under_it() -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0, max_exec_per_hour=0))
    async with running_governor(rig):
        for number in range(6):
            rig.publish(f"plan-{number}", qty="0.1")
        rig.publish("elsewhere", "ETHUSDT", qty="0.1")
        await trio.sleep(0.5)
    reasons = [rig.reason(f"plan-{number}") for number in range(6)]
    assert reasons[:3] == ["governor_granted", "governor_granted", "burst_limit_exceeded"]
    assert set(reasons[3:]) == {"kill_switch_active"}
    assert rig.reason("elsewhere") == "kill_switch_active"
    assert rig.text(rig.own.disarm(rig.date)) is not None


async def test_sums_of_the_day_begin_anew_at_midnight_utc() -> None:
    midnight_ms = (EPOCH_MS // 86_400_000 + 1) * 86_400_000
    rules = actor_rules(symbol_cooldown_sec=0.0, max_exec_per_5min=0)
    rig = GovernorRig(rules, epoch_ms=midnight_ms - 10_000)
    async with running_governor(rig):
        rig.publish("one", qty="0.5")
        await trio.sleep(0.1)
        rig.result("one", filled_qty="0.5")
        await trio.sleep(3)
        before = rig.date
        await trio.sleep((midnight_ms - rig.clock.now().wall_ms) / 1000 + 0.01)
        assert rig.date > before
        rig.publish("two", qty="0.2")
        await trio.sleep(0.1)
        assert (rig.reason("two"), rig.opened()) == ("governor_granted", "20")
        assert rig.text(rig.own.opened("BTCUSDT", before)) == "50"
        await trio.sleep(11)
        assert rig.redis.hgetall(rig.own.equity)[b"day"].decode() == rig.date
