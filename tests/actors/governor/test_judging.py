"""Plans that the Governor grants and refuses, and what it writes of them."""

from __future__ import annotations

import trio

from tests.actors.governor_rig import PREFIX, GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_open_gets_a_permit_a_place_in_every_count_and_an_audit_record(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("plan-one", kill_score="0.3")
        await trio.sleep(0.1)
    permit = rig.permit("plan-one")
    assert permit is not None
    assert permit["granted"] is True
    assert (permit["symbol"], permit["decision"], permit["reason"]) == (
        "BTCUSDT", "EXECUTE", "governor_granted",
    )  # fmt: skip
    assert (permit["computed_qty"], permit["computed_notional"], permit["kind"]) == (1, 100, "open")
    assert rig.redis.pttl("quantum:permit:plan-one") == 60_000 - 100
    (grant,) = rig.reserved().values()
    assert (grant["symbol"], grant["kind"], grant["notional"]) == ("BTCUSDT", "open", 100)
    assert rig.window() == ["plan-one"]
    assert rig.opened() == "100"
    assert float(rig.text(rig.own.last_exec("BTCUSDT")) or 0) == grant["granted_ms"] / 1000
    assert rig.redis.lrange(rig.own.executions("BTCUSDT")) == [str(grant["granted_ms"] // 1000).encode()]
    assert rig.stats()["entry_n"] == "1"
    (audit,) = rig.entries(rig.own.audit)
    assert (audit["plan_id"], audit["granted"], audit["reason"]) == ("plan-one", "true", "governor_granted")
    assert rig.pending() == 0


async def test_a_refusal_writes_a_block_and_no_permit_and_counts_nowhere(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("too-large", qty="2.5")
        await trio.sleep(0.1)
    assert rig.permit("too-large") is None
    block = rig.block("too-large")
    assert block is not None
    assert (block["reason"], block["symbol"], block["kind"], block["eval_type"]) == (
        "notional_per_trade_exceeded", "BTCUSDT", "open", "ENTRY",
    )  # fmt: skip
    assert sorted(value for value in block["details"].values() if isinstance(value, int)) == [200, 250]
    assert (rig.reserved(), rig.window(), rig.opened()) == ({}, [], None)
    assert rig.pending() == 0


async def test_a_refusal_is_a_permit_that_grants_nothing_where_its_readers_know_that() -> None:
    rig = GovernorRig(actor_rules({"GOV_DENY_PERMITS": "true"}))
    async with running_governor(rig):
        rig.publish("too-large", qty="2.5")
        await trio.sleep(0.1)
    permit = rig.permit("too-large")
    assert permit is not None
    assert (permit["granted"], permit["reason"]) == (False, "notional_per_trade_exceeded")
    assert rig.reason("too-large") == "notional_per_trade_exceeded"
    assert rig.block("too-large") is not None


async def test_a_close_is_granted_and_counts_in_what_was_reduced_alone(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.publish_close("bye")
        await trio.sleep(0.1)
    assert rig.reason("bye") == "governor_granted_close"
    (grant,) = rig.reserved().values()
    assert (grant["kind"], grant["qty"], grant["notional"]) == ("close", 2, 200)
    assert (rig.window(), rig.opened()) == ([], None)
    assert rig.text(rig.own.reduced("BTCUSDT", rig.date)) == "200"
    assert rig.text(rig.own.last_exec("BTCUSDT")) is None


async def test_a_stop_loss_update_is_granted_and_reserves_nothing(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.publish("stop", action="UPDATE_SL", side="", qty="", reduceOnly="")
        await trio.sleep(0.1)
    permit = rig.permit("stop")
    assert permit is not None
    assert (permit["reason"], permit["kind"]) == ("governor_granted_close", "none")
    assert rig.reserved() == {}


async def test_a_plan_that_is_delivered_or_published_again_is_judged_and_observed_once(
    rig: GovernorRig,
) -> None:
    async with running_governor(rig):
        rig.publish("one", kill_score="0.3")
        rig.publish("one", kill_score="0.3")
        await trio.sleep(0.1)
        rig.publish("one", kill_score="0.3")
        await trio.sleep(0.1)
    assert rig.stats()["entry_n"] == "1"
    assert (rig.window(), rig.opened(), rig.pending()) == (["one"], "100", 0)
    assert len(rig.entries(rig.own.audit)) == 1


async def test_plans_of_any_decision_are_observed_and_execute_alone_is_judged(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("skipped", decision="SKIP", kill_score="0.4")
        rig.publish("reconciled", decision="RECONCILE_CLOSE", kill_score="0.2", reduceOnly="true")
        rig.publish("held", decision="HOLD")
        rig.publish("elsewhere", "NOTLISTEDUSDT", decision="SKIP", kill_score="0.4")
        await trio.sleep(0.1)
    stats = rig.stats()
    assert (stats["entry_n"], stats["exit_n"]) == ("1", "1")
    assert rig.stats("NOTLISTEDUSDT") == {}
    for plan_id in ("skipped", "reconciled", "held"):
        assert rig.reason(plan_id) == ""
    assert rig.entries(rig.own.audit) == []
    assert rig.pending() == 0


async def test_each_symbol_is_observed_until_those_of_the_exchange_are_known(rig: GovernorRig) -> None:
    rig.symbol_rules.withdraw()
    async with running_governor(rig):
        for number, symbol in enumerate(("NOTLISTEDUSDT", "BTCUSDT")):
            rig.publish(f"early-{number}", symbol, decision="SKIP", kill_score="0.4")
        await trio.sleep(0.1)
    assert (rig.stats("NOTLISTEDUSDT")["entry_n"], rig.stats()["entry_n"]) == ("1", "1")


async def test_plans_that_came_together_count_one_after_the_other() -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0))
    async with running_governor(rig):
        for number in range(64):
            rig.publish(f"plan-{number}", qty="0.1")
        await trio.sleep(0.2)
    granted = [number for number in range(64) if rig.is_granted(f"plan-{number}")]
    assert granted == [0, 1]
    assert rig.reason("plan-2") == "burst_limit_exceeded"
    assert rig.window() == ["plan-0", "plan-1"]


async def test_a_malformed_plan_is_refused_and_observed(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("odd", side="SIDEWAYS", kill_score="0.5")
        await trio.sleep(0.1)
    assert rig.reason("odd") == "malformed_plan"
    assert rig.stats()["entry_n"] == "1"


async def test_an_expired_plan_is_refused_and_observed(rig: GovernorRig) -> None:
    await rig.take_lease()
    await rig.store.judged_plans.create(lost=False)
    rig.publish("late", kill_score="0.5")
    await trio.sleep(6)
    async with running_governor(rig):
        await trio.sleep(0.1)
    assert rig.reason("late") == "plan_expired"
    assert rig.stats()["entry_n"] == "1"


async def test_a_signed_permit_ends_with_an_hmac_of_all_before_it() -> None:
    rig = GovernorRig(actor_rules({"GOV_PERMIT_SIGNING_KEY": "a key"}))
    async with running_governor(rig):
        rig.publish("signed")
        await trio.sleep(0.1)
    permit = rig.permit("signed")
    assert permit is not None
    assert permit["key_prefix"] == "quantum"
    assert list(permit)[-1] == "signature"
    assert len(permit["signature"]) == 64


async def test_a_day_keeps_the_notional_of_a_grant_whose_permit_another_executor_has() -> None:
    """The results of both plans are read at once, and the end of the second rests on the first's sum."""
    free = actor_rules(symbol_cooldown_sec=0.0, max_exec_per_hour=0, max_exec_per_5min=0)
    rig = GovernorRig(free)
    async with running_governor(rig):
        rig.publish("held", qty="0.5")
        rig.publish("refused")
        rig.publish("gone", qty="0.25")
        await trio.sleep(0.1)
        assert rig.opened() == "175"
        assert rig.redis.take(f"{PREFIX}:permit:held") is not None
        rig.failed("held", "permit_timeout (missing: P3.3)")
        rig.failed("nobody", "order rejected")
        rig.failed("refused", "order rejected")
        rig.failed("gone", "permit_timeout (missing: P3.3)")
        await trio.sleep(0.1)
        assert (list(rig.reserved()), rig.window(), rig.opened()) == (["held"], ["held"], "50")
        assert rig.redis.xpending(rig.keys.results, "governor_result_monitor") == {}
        assert rig.permit("gone") is None


async def test_a_stream_of_a_wrong_type_stops_judging_and_is_named_until_it_is_gone(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig) as heartbeat:
        rig.redis.set(rig.own.audit, "x")
        rig.publish_close("bye")
        await trio.sleep(0.5)
        assert rig.reason("bye") == ""
        (named,) = {wait.what for wait in heartbeat.waits() if "WRONGTYPE" in wait.what}
        assert rig.own.audit in named
        rig.redis.delete(rig.own.audit)
        await trio.sleep(0.5)
        assert rig.reason("bye") == "governor_granted_close"
        assert not any("Redis" in wait.what for wait in heartbeat.waits())
