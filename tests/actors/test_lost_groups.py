"""A consumer group that vanishes under a running actor costs no entry, and counts none twice."""

from __future__ import annotations

from decimal import Decimal

import pytest
import redis
import trio
from trio.testing import MockClock

from store.errors import GroupLostError
from store.keys import GROUP
from tests.actors.evaluator_rig import EvaluatorRig, EvaluatorWorld, running_evaluator
from tests.actors.ledger_rig import LedgerWorld, running_writer
from tests.actors.redis_worlds import BACKENDS, evaluator_world, ledger_world
from tests.brain.cases import RULES
from tests.integration.waiting import until
from tests.store.backends import Outside

SYMBOL = "BTCUSDT"


def pending(outside: Outside, stream: str) -> int | None:
    """Count entries that are delivered and not acknowledged; None where there is no group."""
    try:
        return len(outside.xpending(stream, GROUP))
    except (GroupLostError, redis.ResponseError):
        return None


async def adopted(world: LedgerWorld) -> None:
    world.exchange.set(SYMBOL, "0", update_time_ms=0)
    world.observe(SYMBOL)
    await until(lambda: world.ledgers_adopted.value, "the first ledgers", 10)


def filled(world: LedgerWorld, order_id: str) -> None:
    """An order of 1 is filled; `publish_result` publishes its result."""
    world.fill(SYMBOL, order_id, "BUY", "1")


def publish_result(world: LedgerWorld, order_id: str) -> None:
    world.publish_result(SYMBOL, order_id, "BUY", "1", plan_id=f"plan-{order_id}")


async def booked(world: LedgerWorld, amount: str) -> None:
    await until(lambda: world.amount(SYMBOL) == amount, f"a ledger of {amount}", 10)
    await until(lambda: pending(world.redis, world.keys.results) == 0, "nothing pending", 10)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("last_id", ["kept", "gone"])
async def test_results_around_the_loss_of_their_group_count_once(name: str, last_id: str) -> None:
    async with ledger_world(name) as world, running_writer(world):
        await adopted(world)
        for order_id in ("1", "2"):
            filled(world, order_id)
            publish_result(world, order_id)
        await booked(world, "2")

        world.redis.xgroup_destroy(world.keys.results, GROUP)
        if last_id == "gone":
            world.redis.delete(world.keys.last_result_id)
        for order_id in ("3", "1", "4", "2", "3"):
            if order_id in ("3", "4") and order_id not in world.exchange.trades:
                filled(world, order_id)
            publish_result(world, order_id)
        await booked(world, "4")
        assert world.ledger(SYMBOL)["version"] == "5", "four fills since it was adopted"
        assert world.dead() == []

        filled(world, "5")
        publish_result(world, "5")
        await booked(world, "5")


@pytest.mark.parametrize("name", BACKENDS)
async def test_results_that_come_while_group_and_writer_are_gone_are_booked_by_the_next(name: str) -> None:
    async with ledger_world(name) as world:
        async with running_writer(world):
            await adopted(world)
            filled(world, "1")
            publish_result(world, "1")
            await booked(world, "1")
        world.redis.xgroup_destroy(world.keys.results, GROUP)
        filled(world, "2")
        publish_result(world, "2")
        publish_result(world, "1")
        async with running_writer(world):
            await booked(world, "2")
            assert world.ledger(SYMBOL)["version"] == "3"


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_result_in_hand_while_its_group_vanishes_is_booked_once(name: str) -> None:
    async with ledger_world(name) as world, running_writer(world):
        await adopted(world)
        # The stream does not report this fill, so the exchange is asked, which takes 0.5 s.
        world.exchange.latency_sec = 0.5
        world.exchange.set(SYMBOL, "0", update_time_ms=world.exchange.now_ms())
        world.redis.delete(world.keys.ledger(SYMBOL))
        world.exchange.fill(SYMBOL, "1", "BUY", "1")
        publish_result(world, "1")
        await until(lambda: pending(world.redis, world.keys.results) == 1, "the result in hand", 10)
        world.redis.xgroup_destroy(world.keys.results, GROUP)
        filled(world, "2")
        publish_result(world, "2")
        await booked(world, "2")
        assert world.dead() == []


def publish(world: EvaluatorWorld, *plan_ids: str) -> None:
    for plan_id in plan_ids:
        world.publish(plan_id, action="PARTIAL_50")


async def decided(world: EvaluatorWorld, *plan_ids: str) -> None:
    """All of them, in this order, each once, and nothing is left."""
    await until(lambda: len(world.audited()) >= len(plan_ids), f"{len(plan_ids)} decisions", 10)
    await until(lambda: pending(world.redis, world.keys.plans) == 0, "nothing pending", 10)
    assert world.audited() == list(plan_ids)


@pytest.mark.parametrize("name", BACKENDS)
async def test_plans_around_the_loss_of_their_group_are_decided_once(name: str) -> None:
    async with evaluator_world(name, rules=RULES) as (world, _):
        world.holds(SYMBOL, "1")
        async with running_evaluator(world):
            publish(world, "a", "b")
            await decided(world, "a", "b")
            assert world.redis.take(world.keys.permit("a")) is not None, "a consumer takes it"
            world.redis.xgroup_destroy(world.keys.plans, GROUP)
            publish(world, "c", "a", "d", "c")
            await decided(world, "a", "b", "c", "d")
            publish(world, "e", "b")
            await decided(world, "a", "b", "c", "d", "e")
            assert world.redis.get(world.keys.permit("a")) is None
            assert [world.reason(plan_id) for plan_id in "bcde"] == ["sanity_checks_passed"] * 4


@pytest.mark.parametrize("name", BACKENDS)
async def test_plans_that_come_while_group_and_evaluator_are_gone_are_decided_by_the_next(name: str) -> None:
    async with evaluator_world(name, rules=RULES) as (world, _):
        world.holds(SYMBOL, "1")
        async with running_evaluator(world):
            publish(world, "a")
            await decided(world, "a")
        world.redis.xgroup_destroy(world.keys.plans, GROUP)
        publish(world, "b", "a")
        async with running_evaluator(world):
            await decided(world, "a", "b")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("wished", [("0.5", "0.25", "0.5"), ("0.5", "0.5", "0.5"), ("0.3", "0.3", "1")])
async def test_plans_read_anew_beside_new_ones_never_free_what_they_have_reserved(
    name: str, wished: tuple[str, str, str]
) -> None:
    async with evaluator_world(name, rules=RULES) as (world, _):
        world.holds(SYMBOL, "1")
        async with running_evaluator(world):
            for plan_id, quantity in zip("ab", wished[:2], strict=True):
                world.publish(plan_id, qty=quantity)
                await until(lambda plan_id=plan_id: world.permit(plan_id), "a decision", 10)  # type: ignore[misc]
            world.redis.xgroup_destroy(world.keys.plans, GROUP)
            world.publish("c", qty=wished[2])
            await decided(world, "a", "b", "c")
            permits = [permit for plan_id in "abc" if (permit := world.permit(plan_id)) is not None]
            given = [Decimal(str(permit.get("safe_close_qty", 0))) for permit in permits]
            assert given[:2] == [Decimal(wished[0]), Decimal(wished[1])]
            assert sum(given) == min(1, sum(map(Decimal, wished)))


async def test_after_a_flush_the_group_is_created_again_and_nothing_is_skipped(
    autojump_clock: MockClock,
) -> None:
    rig = EvaluatorRig()
    async with running_evaluator(rig):
        rig.redis.flushall()
        await rig.take_lease()
        rig.holds("BTCUSDT", "1")
        rig.publish("before it is noticed")
        await trio.sleep(1)
        rig.publish("after")
        await trio.sleep(1)
        assert rig.reason("before it is noticed") == "recovering"
        assert rig.reason("after") == "sanity_checks_passed"
