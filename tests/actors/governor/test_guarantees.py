"""Guarantees of the Governor that an actor shows: closes go on, nothing counts twice, state survives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from brain.identifiers import FencingToken
from channels import Lease
from exchange.errors import ExchangeUnavailable
from store.governor_records import GovernorCommit, GovernorReply
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from tests.actors.governor_rig import PREFIX, GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time

FREE: dict[str, Any] = {"symbol_cooldown_sec": 0.0, "max_exec_per_hour": 0, "max_exec_per_5min": 0}


@pytest.mark.parametrize(
    "trouble",
    [
        "kill switch", "reducing", "no equity", "no book", "no exchangeInfo", "no prices", "no position mode",
        "unreadable statistics", "unreadable grants", "limits reached", "guards", "unreadable score",
    ],
)  # fmt: skip
async def test_every_close_is_granted_within_100_ms_whatever_else_is_missing(trouble: str) -> None:
    rig = GovernorRig(actor_rules(max_exec_per_hour=1, max_open_positions=1))
    rig.position("BTCUSDT", "2")
    fields: dict[str, str] = {}
    match trouble:
        case "kill switch":
            rig.redis.set("quantum:kill", "1")
        case "reducing":
            rig.redis.set("quantum:governor:trading_state", "REDUCING")
        case "no equity":
            rig.account.error = ExchangeUnavailable("no answer")
        case "no book":
            rig.book.lose_trust(rig.clock.now().earlier_by(-3600))
        case "no exchangeInfo":
            rig.symbol_rules.withdraw()
        case "no position mode":
            rig.hedge_mode.withdraw()
        case "no prices":
            rig.price = None
            rig.prove()
        case "unreadable statistics":
            rig.redis.hset(rig.own.kill_stats("BTCUSDT"), {"exit_n": "x", "exit_mean": "1", "v": "1"})
            fields = {"kill_score": "0.9"}
        case "unreadable grants":
            rig.redis.hset(rig.own.reserved, {"odd": "no JSON"})
        case "limits reached":
            rig.redis.set(rig.own.last_exec("BTCUSDT"), str(rig.clock.now().wall_ms / 1000))
            rig.redis.set(rig.own.reduced("BTCUSDT", rig.date), "999999999")
        case "guards":
            rig.redis.set("quantum:risk:guard_active:EMERGENCY_FLATTEN", "{}")
            rig.redis.set("quantum:churn:global_freeze", "1")
        case "unreadable score":
            fields = {"kill_score": "NaN"}
    async with running_governor(rig, settled=False):
        rig.publish_close("bye", **fields)
        await trio.sleep(0.1)
    assert rig.reason("bye") == "governor_granted_close"


@pytest.mark.parametrize(("key", "named"), [("reserved", "reserved"), ("window", "window:BTCUSDT")])
async def test_a_count_of_a_wrong_type_is_named_and_stops_opens_alone(key: str, named: str) -> None:
    rig = GovernorRig(actor_rules(**FREE))
    rig.position("BTCUSDT", "2")
    stored = rig.own.reserved if key == "reserved" else rig.own.window("BTCUSDT")
    with capture_logs() as logs:
        async with running_governor(rig):
            rig.publish_close("before")
            await trio.sleep(0.1)
            rig.redis.delete(stored)
            rig.redis.set(stored, "x")
            for name in ("first", "second"):
                rig.publish_close(name)
            rig.publish("open")
            await trio.sleep(0.1)
            rig.publish_close("third")
            await trio.sleep(2.0)
            reasons = [rig.reason(name) for name in ("first", "second", "open", "third")]
            rig.redis.delete(stored)
            rig.publish("later")
            await trio.sleep(0.1)
            assert rig.reason("later") == "governor_granted"
    assert reasons == [
        "governor_granted_close", "governor_granted_close", "no_portfolio_state", "governor_granted_close",
    ]  # fmt: skip
    assert [row["keys"] for row in logs if row["event"].startswith("Counts cannot be read")] == [named]


async def test_an_operators_halt_stops_closes_and_an_unreadable_state_is_one(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        for number, text in enumerate(("HALTED", "perhaps")):
            rig.redis.set("quantum:governor:trading_state", text)
            rig.publish_close(f"bye-{number}")
            await trio.sleep(0.1)
            assert rig.reason(f"bye-{number}") == "trading_halted"
        rig.redis.set("quantum:governor:trading_state", "ACTIVE")
        rig.publish_close("bye-2")
        await trio.sleep(0.1)
        assert rig.reason("bye-2") == "governor_granted_close"
        assert rig.governor is not None
        await trio.sleep(1.5)
        assert rig.governor.value is not None
        assert rig.governor.value.state_readable


async def test_nothing_is_opened_before_equity_and_positions_are_known(rig: GovernorRig) -> None:
    rig.account.error = ExchangeUnavailable("no answer")
    async with running_governor(rig):
        rig.publish("early")
        await trio.sleep(0.1)
        assert rig.reason("early") == "no_portfolio_state"
        rig.account.error = None
        await trio.sleep(2)
        rig.publish("later")
        await trio.sleep(0.1)
        assert rig.reason("later") == "governor_granted"


async def test_counts_and_statistics_survive_the_actor_and_the_process(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one", kill_score="0.5")
        await trio.sleep(0.1)
    store = MemoryStore(rig.redis, keys=Keys(PREFIX), consumer="me")
    await rig.take_lease(store)
    async with running_governor(rig, rig.make(store)):
        rig.publish("two", kill_score="0.5")
        rig.publish("three", "ETHUSDT", kill_score="0.5")
        await trio.sleep(0.1)
    assert rig.reason("two") == "symbol_cooldown"
    assert rig.reason("three") == "governor_granted"
    assert rig.stats()["entry_n"] == "2"
    assert set(rig.reserved()) == {"one", "three"}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_that_is_cut_off_grants_and_counts_nothing_twice(
    when: Literal["before", "after"], count: int
) -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0))
    async with running_governor(rig):
        for number in range(4):
            rig.store.faults.fail_next(when, method="judge_plans", count=count)
            rig.publish(f"plan-{number}", kill_score="0.4", qty="0.1")
            await trio.sleep(0.1 + 0.2 * count)
        await trio.sleep(2)
    assert [rig.is_granted(f"plan-{number}") for number in range(4)] == [True, True, False, False]
    assert rig.window() == ["plan-0", "plan-1"]
    assert rig.opened() == "20"
    assert rig.stats()["entry_n"] == "4"
    assert len(rig.entries(rig.own.audit)) == 4
    assert rig.pending() == 0


async def test_another_instance_without_the_lease_judges_nothing(rig: GovernorRig) -> None:
    rig.lease.send(Lease(None, "another"))
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(1)
        assert rig.reason("one") == ""
        assert rig.redis.hgetall(rig.own.reserved) == {}
        await rig.take_lease()
        await trio.sleep(0.5)
        assert rig.reason("one") != ""


async def test_a_lost_lease_ends_judging_at_the_write_and_the_next_holder_goes_on(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        other = MemoryStore(rig.redis, keys=Keys(PREFIX), consumer="other")
        rig.redis.delete(rig.keys.lease)
        fence = (await other.hold_lease("other", None, 3_600_000)).fence
        rig.publish("two", "ETHUSDT")
        await trio.sleep(0.5)
        assert rig.reason("two") == ""
    rig.lease.send(Lease(fence, "other"))
    async with running_governor(rig, rig.make(other)):
        await trio.sleep(2)
        assert rig.reason("two") == "governor_granted"
    assert set(rig.reserved()) == {"one", "two"}


async def test_redis_away_means_that_nothing_happens_and_what_waited_is_judged_after_it() -> None:
    rig = GovernorRig(actor_rules(**FREE))
    async with running_governor(rig):
        with rig.store.faults.outage():
            rig.publish("one")
            await trio.sleep(2)
            assert rig.reason("one") == ""
        await trio.sleep(1)
        assert rig.reason("one") == "governor_granted"


class Restless(MemoryStore):
    """Something that the judgement rests on changes between each look and the next write."""

    def __init__(self, redis: MemoryRedis) -> None:
        super().__init__(redis, keys=Keys(PREFIX), consumer="me")
        self.redis_of_others = redis
        self.restless = True
        self.looks = 0

    async def judge_plans(self, fence: FencingToken, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        if self.restless and any(each.basis is not None and not each.basis.part for each in judgements):
            self.looks += 1
            self.redis_of_others.set("quantum:system:mode", f"mode {self.looks}")
        return await super().judge_plans(fence, judgements)


async def test_a_state_that_changes_five_times_under_a_plan_ends_it_as_contended(rig: GovernorRig) -> None:
    store = Restless(rig.redis)
    async with running_governor(rig, rig.make(store)):
        rig.publish("one", kill_score="0.5")
        await trio.sleep(0.2)
        assert store.looks == 5
        assert rig.reason("one") == "state_contended"
        assert rig.permit("one") is None
        assert rig.stats()["entry_n"] == "1"
        store.restless = False
        rig.publish("two", "ETHUSDT")
        await trio.sleep(0.2)
        assert rig.reason("two") == "governor_granted"


async def test_a_change_by_an_operator_is_found_by_the_write_and_judged_again(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.redis.set("quantum:kill", "1")
        rig.publish("two", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("two") == "kill_switch_active"
        rig.redis.delete("quantum:kill")
        rig.publish("three", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("three") == "governor_granted"


async def test_opens_wait_for_one_permit_ttl_after_redis_was_emptied_and_closes_do_not() -> None:
    rig = GovernorRig(actor_rules(**FREE))
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.publish("before", "ETHUSDT")
        await trio.sleep(0.1)
        rig.redis.flushall()
        await rig.take_lease()
        await trio.sleep(2)
        rig.publish("open", "ETHUSDT")
        rig.publish_close("bye")
        await trio.sleep(2)
        assert rig.reason("open") == "recovering"
        assert rig.reason("bye") == "governor_granted_close"
        await trio.sleep(60)
        rig.publish("after", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("after") == "governor_granted"


async def test_sixty_four_plans_at_once_against_a_limit_of_three_are_three_grants() -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0, max_exec_per_5min=0))
    async with running_governor(rig):
        for number in range(64):
            rig.publish(f"plan-{number}", qty="0.1")
        await trio.sleep(0.5)
    assert sum(rig.is_granted(f"plan-{number}") for number in range(64)) == 3
    assert len(rig.reserved()) == 3


async def test_the_shadow_judges_and_counts_below_its_own_prefix_and_writes_nothing_else() -> None:
    rig = GovernorRig(actor_rules({"P33_GOVERNOR": "shadow"}, symbol_cooldown_sec=0.0))
    before = set(rig.redis.keys())
    async with running_governor(rig):
        for number in range(3):
            rig.publish(f"plan-{number}", kill_score="0.4")
        await trio.sleep(0.2)
        rig.result("plan-0")
        await trio.sleep(0.2)
    written = set(rig.redis.keys()) - before - {rig.keys.plans, rig.keys.results}
    assert {key for key in written if key.startswith("quantum:governor:shadow:")}
    own = ("quantum:governor:shadow:", "quantum:p33:")
    assert {key for key in written if not key.startswith(own)} == set()
    audit = rig.entries(rig.own.audit)
    assert [row["reason"] for row in audit] == [
        "governor_granted",
        "governor_granted",
        "burst_limit_exceeded",
    ]
    assert {row["shadow"] for row in audit} == {"true"}
    assert rig.redis.get("quantum:governor:trading_state") is None
