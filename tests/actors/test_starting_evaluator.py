"""While a service that has just started lacks something, its plans wait a while, and are answered in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from channels import LatestValue
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.brain.cases import RULES
from tests.virtual_time import virtual_time
from wiring.groups import STALL_LIMIT_SEC

pytestmark = virtual_time

AGE_LIMIT_SEC = 5.0

CHANNELS: dict[str, Callable[[EvaluatorRig], LatestValue[Any]]] = {
    "symbol rules": lambda rig: rig.symbol_rules,
    "position mode": lambda rig: rig.hedge_mode,
    "allowlist": lambda rig: rig.allowlist,
    "ledgers": lambda rig: rig.ledgers_adopted,
}


@asynccontextmanager
async def lacking(rig: EvaluatorRig, *names: str) -> AsyncIterator[Callable[[], None]]:
    """Run the evaluator without the values of these channels; the callable sends them."""
    kept = [(CHANNELS[name](rig), CHANNELS[name](rig).value) for name in names]
    for channel, _ in kept:
        channel.value = None

    def send_all() -> None:
        for channel, value in kept:
            assert value is not None
            channel.send(value)

    async with running_evaluator(rig):
        yield send_all


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_value_that_comes_within_half_the_age_limit_is_waited_for(
    rig: EvaluatorRig, name: str
) -> None:
    rig.holds("BTCUSDT", "1")
    async with lacking(rig, name) as send_all:
        rig.publish("p")
        await trio.sleep(2.3)
        assert rig.permit("p") is None
        assert rig.heartbeat is not None and rig.heartbeat.waits()
        send_all()
        await trio.sleep(0.1)
        assert rig.reason("p") == "sanity_checks_passed"
        assert rig.heartbeat.waits() == []


@pytest.mark.parametrize("held", [True, False], ids=["snapshot", "no snapshot"])
@pytest.mark.parametrize("names", [("symbol rules",), ("position mode",), tuple(CHANNELS)])
async def test_while_the_exchange_is_away_after_a_start_every_plan_is_denied_within_its_age_limit(
    rig: EvaluatorRig, names: tuple[str, ...], held: bool
) -> None:
    if held:
        rig.holds("BTCUSDT", "1")
    async with lacking(rig, *names):
        plans = []
        for number in range(40):
            plans += [f"close-{number}", f"open-{number}", f"unknown-{number}"]
            rig.publish(plans[-3])
            rig.publish_entry(plans[-2], "ETHUSDT")
            rig.publish(plans[-1], "NEVERHEARDUSDT")
            await trio.sleep(0.3)
        await trio.sleep(AGE_LIMIT_SEC / 2)
        assert sorted(rig.audited()) == sorted(plans)
        reasons = {rig.reason(plan_id) for plan_id in plans if not plan_id.startswith("open")}
        assert reasons == {"no_exchange_snapshot"}
        permit = rig.answer("close-0")
        assert permit["details"] == {"snapshot": held, "exchange_known": False}
        assert permit["created_at"] * 1000 - rig.epoch_ms < AGE_LIMIT_SEC * 1000
        assert rig.reads.depth == 0, "no read is asked for that cannot succeed"
        assert rig.pending() == 0


async def test_without_an_allowlist_closes_go_on_and_nothing_is_opened(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.holds("ETHUSDT", "0")
    async with lacking(rig, "allowlist"):
        rig.publish("close")
        rig.publish_entry("open", "ETHUSDT")
        await trio.sleep(2.6)
        assert rig.reason("close") == "sanity_checks_passed"
        assert rig.reason("open") == "symbol_not_in_allowlist"


async def test_plans_that_are_held_back_keep_their_order_and_are_taken_once(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    async with lacking(rig, "ledgers") as send_all:
        plans = [f"p{number}" for number in range(20)]
        for plan_id in plans:
            rig.publish(plan_id, action="PARTIAL_50")
            await trio.sleep(0.1)
        send_all()
        await trio.sleep(0.1)
        assert rig.audited() == plans
        assert rig.store.commits < 5, "once, together"


async def test_plans_in_hand_from_before_a_restart_are_held_back_too(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    await rig.store.plans.create(lost=False)
    rig.publish("a", action="PARTIAL_50")
    rig.publish("b", action="PARTIAL_50")
    assert len(await rig.store.plans.read_new(count=10, block_ms=0)) == 2
    async with lacking(rig, "symbol rules") as send_all:
        await trio.sleep(1)
        assert rig.audited() == []
        send_all()
        await trio.sleep(0.1)
        assert rig.audited() == ["a", "b"]
        assert rig.reason("b") == "sanity_checks_passed"


async def test_a_plan_that_was_held_back_has_not_failed_when_redis_is_back() -> None:
    rig = EvaluatorRig(rules=msgspec.structs.replace(RULES, plan_max_age_sec=12.0))
    rig.holds("BTCUSDT", "1")
    async with lacking(rig, "allowlist") as send_all:
        await trio.sleep(0.1)
        rig.publish("p")
        await trio.sleep(5.7)
        rig.store.faults.begin_outage()
        await trio.sleep(1.5)
        rig.store.faults.end_outage()
        await trio.sleep(0.3)
        send_all()
        await trio.sleep(1)
        assert rig.reason("p") == "sanity_checks_passed"


@pytest.mark.parametrize("read_by", [0, 1])
async def test_plans_that_are_held_back_for_longer_than_the_stall_limit_are_no_stall(read_by: int) -> None:
    rig = EvaluatorRig(rules=msgspec.structs.replace(RULES, plan_max_age_sec=40.0))
    async with lacking(rig, "allowlist"):
        await trio.sleep(0.5 + 2 * read_by)
        rig.publish("p")
        for _ in range(150):
            await trio.sleep(0.1)
            assert rig.heartbeat is not None
            beat_sec = rig.heartbeat.oldest_beat_at_work_sec()
            assert beat_sec is None or trio.current_time() - beat_sec < STALL_LIMIT_SEC
