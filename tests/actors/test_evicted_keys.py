"""Redis evicts keys: nothing is closed twice, and opens wait, whichever key it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from brain.identifiers import PlanId
from channels import Lease
from store.keys import GROUP
from tests.actors.evaluator_rig import EvaluatorRig, EvaluatorWorld, running_evaluator
from tests.actors.redis_worlds import BACKENDS, evaluator_world
from tests.brain.cases import RULES
from tests.integration.waiting import until

SYMBOL = "BTCUSDT"
TTL_SEC = RULES.permit_ttl_sec
LIFE_SEC = RULES.permit_ttl_sec + RULES.execution_grace_sec


@pytest.fixture(params=BACKENDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[EvaluatorWorld]:
    """A running evaluator on the twin and on each redis-server in turn."""
    async with evaluator_world(request.param, rules=RULES) as (made, _), running_evaluator(made):
        yield made


async def answered(world: EvaluatorWorld, plan_id: str) -> tuple[str, float | None]:
    """The reason of a plan's answer, and the quantity that it may close."""
    await until(lambda: world.permit(plan_id) is not None, f"an answer to {plan_id}", within_sec=10)
    permit = world.answer(plan_id)
    return permit["reason"], permit.get("safe_close_qty")


async def ask(world: EvaluatorWorld, plan_id: str, **fields: str) -> tuple[str, float | None]:
    """Publish a plan to close, and wait for its answer."""
    world.publish(plan_id, **fields)
    return await answered(world, plan_id)


async def test_a_second_close_is_denied_while_the_first_ones_reservation_is_evicted(
    world: EvaluatorWorld,
) -> None:
    world.holds(SYMBOL, "4")
    assert await ask(world, "first") == ("sanity_checks_passed", 4)
    for again in ("second", "third"):
        assert world.redis.evict(world.keys.open_permits(SYMBOL)) is (again == "second")
        world.position(SYMBOL, "4")
        assert await ask(world, again) == ("in_flight_permit", None)


async def test_no_more_may_be_closed_than_is_left_beside_an_evicted_reservation(
    world: EvaluatorWorld,
) -> None:
    world.holds(SYMBOL, "4")
    closed = Decimal(0)
    for number in range(5):
        world.position(SYMBOL, "4")
        reason, quantity = await ask(world, f"half-{number}", action="PARTIAL_50")
        assert reason == "sanity_checks_passed"
        closed += Decimal(str(quantity))
        assert world.redis.evict(world.keys.open_permits(SYMBOL))
    assert closed == Decimal("3.875")
    world.position(SYMBOL, "4")
    assert await ask(world, "rest") == ("sanity_checks_passed", 0.125)


async def test_a_plan_published_twice_is_kept_with_the_quantity_that_it_was_allowed(
    world: EvaluatorWorld,
) -> None:
    """Both entries are read at once: the second must not take the place of the first one's reservation."""
    world.holds(SYMBOL, "4")
    for _ in range(2):
        world.publish("half", action="PARTIAL_50")
    assert await answered(world, "half") == ("sanity_checks_passed", 2)
    await trio.sleep(0.2)
    assert world.redis.evict(world.keys.open_permits(SYMBOL))
    world.position(SYMBOL, "4")
    assert await ask(world, "rest") == ("sanity_checks_passed", 2)


async def test_a_plan_whose_mark_is_evicted_is_not_allowed_again(world: EvaluatorWorld) -> None:
    world.holds(SYMBOL, "4")
    assert await ask(world, "once", action="PARTIAL_50") == ("sanity_checks_passed", 2)
    assert world.redis.take(world.keys.permit("once")) is not None
    assert world.redis.evict(world.keys.plan_mark("once"))
    world.position(SYMBOL, "4")
    world.publish("once", action="PARTIAL_50")
    assert await ask(world, "behind", action="PARTIAL_50") == ("sanity_checks_passed", 1)
    assert world.permit("once") is None
    assert world.pending() == 0
    assert world.audited().count("once") == 1


@asynccontextmanager
async def on_virtual_time() -> AsyncIterator[EvaluatorRig]:
    rig = EvaluatorRig(on_demand=False)
    async with running_evaluator(rig):
        yield rig


def evict(rig: EvaluatorRig, key: str = "other:service") -> None:
    """Evict a key, another service's unless it is named."""
    if key == "other:service":
        rig.redis.set(key, "1")
    assert rig.redis.evict(key)


async def known(rig: EvaluatorRig) -> None:
    """Let the evaluator learn what Redis has of the symbol, so that its next commit is an allowing one."""
    assert await ask(rig, "known", action="UPDATE_SL") == ("no_quantity_change", 0)


async def test_opens_wait_for_one_permit_ttl_and_closes_go_on(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        evict(rig)
        await trio.sleep(2)
        rig.holds("ETHUSDT", "0")
        rig.publish_entry("open", "ETHUSDT")
        rig.holds(SYMBOL, "4")
        rig.publish("close")
        assert (await answered(rig, "open"))[0] == "recovering"
        assert 0 <= rig.answer("open")["details"]["seconds_since_redis_evicted"] <= 2
        assert await answered(rig, "close") == ("sanity_checks_passed", 4)
        await trio.sleep(TTL_SEC)
        rig.position("ETHUSDT", "0")
        rig.publish_entry("later", "ETHUSDT")
        assert (await answered(rig, "later"))[0] == "open_permit_granted"


async def test_opens_wait_for_as_long_as_keys_are_evicted(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        rig.ledger("ETHUSDT", "0")
        for number in range(12):
            evict(rig)
            await trio.sleep(TTL_SEC / 4)
            rig.position("ETHUSDT", "0")
            rig.publish_entry(f"open-{number}", "ETHUSDT")
            assert (await answered(rig, f"open-{number}"))[0] == "recovering"


async def test_the_memory_of_evictions_may_be_evicted_itself(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        rig.redis.maxmemory_policy = "allkeys-lru"
        evict(rig)
        await trio.sleep(TTL_SEC + 2)
        evict(rig, rig.keys.evictions)
        evict(rig, rig.keys.redis_run)
        await trio.sleep(2)
        rig.holds("ETHUSDT", "0")
        rig.publish_entry("open", "ETHUSDT")
        assert (await answered(rig, "open"))[0] == "recovering"
        assert rig.answer("open")["details"]["seconds_since_redis_changed"] is None


async def test_a_result_ends_a_reservation_that_is_evicted(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await ask(rig, "first")
        evict(rig, rig.keys.open_permits(SYMBOL))
        assert await ask(rig, "early") == ("in_flight_permit", None)
        rig.results.end(PlanId("first"))
        assert await ask(rig, "late") == ("sanity_checks_passed", 4)


async def test_an_evicted_reservation_ends_by_itself_as_any(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await ask(rig, "first")
        evict(rig, rig.keys.open_permits(SYMBOL))
        await trio.sleep(LIFE_SEC - 1)
        rig.position(SYMBOL, "4")
        assert await ask(rig, "early") == ("in_flight_permit", None)
        await trio.sleep(1.1)
        rig.position(SYMBOL, "4")
        assert await ask(rig, "late") == ("sanity_checks_passed", 4)


async def test_a_release_that_redis_knows_of_is_not_taken_for_an_eviction(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await ask(rig, "first")
        evict(rig)
        rig.redis.hset(rig.keys.open_permits(SYMBOL), {"v": "r1-0"})
        rig.redis.hdel(rig.keys.open_permits(SYMBOL), "p:first")
        assert await ask(rig, "second") == ("sanity_checks_passed", 4)


async def test_a_reservation_whose_commit_was_not_answered_and_then_evicted_still_counts(
    autojump_clock: MockClock,
) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await known(rig)
        rig.store.faults.fail_next("after", method="commit_decisions")
        assert await ask(rig, "first") == ("sanity_checks_passed", 4)
        evict(rig, rig.keys.open_permits(SYMBOL))
        await trio.sleep(1)
        rig.position(SYMBOL, "4")
        assert await ask(rig, "second") == ("in_flight_permit", None)


async def test_plans_whose_commit_was_lost_are_decided_again_as_if_it_had_never_been_sent(
    autojump_clock: MockClock,
) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await known(rig)
        rig.store.faults.fail_next("before", method="commit_decisions")
        for number in range(2):
            rig.publish(f"half-{number}", action="PARTIAL_50")
        assert await answered(rig, "half-0") == ("sanity_checks_passed", 2)
        assert await answered(rig, "half-1") == ("sanity_checks_passed", 1)


@pytest.mark.parametrize("ago_sec", [5.0, LIFE_SEC - 5, LIFE_SEC + 5])
async def test_after_a_takeover_closes_wait_where_reservations_may_have_been_evicted(
    ago_sec: float, autojump_clock: MockClock
) -> None:
    rig = EvaluatorRig(on_demand=False)
    rig.holds(SYMBOL, "4")
    async with running_evaluator(rig):
        await ask(rig, "first")
        evict(rig, rig.keys.open_permits(SYMBOL))
        await trio.sleep(2)
    await trio.sleep(ago_sec - 2)
    async with running_evaluator(rig):
        rig.position(SYMBOL, "4")
        rig.publish("second")
        if ago_sec > LIFE_SEC:
            assert await answered(rig, "second") == ("sanity_checks_passed", 4)
            return
        assert await answered(rig, "second") == ("recovering", None)
        await trio.sleep(LIFE_SEC - ago_sec + 2)
        rig.position(SYMBOL, "4")
        assert await ask(rig, "third") == ("sanity_checks_passed", 4)


@pytest.mark.parametrize("evicted", [True, False])
async def test_reservations_of_another_process_are_known_after_a_takeover_evicted_or_not(
    evicted: bool, autojump_clock: MockClock
) -> None:
    rig = EvaluatorRig(on_demand=False)
    rig.holds(SYMBOL, "4")
    async with running_evaluator(rig):
        await ask(rig, "half", action="PARTIAL_50")
    async with running_evaluator(rig):
        if evicted:
            evict(rig, rig.keys.open_permits(SYMBOL))
            await trio.sleep(2)
            rig.position(SYMBOL, "4")
        assert await ask(rig, "rest") == ("sanity_checks_passed", 2)


async def test_an_evicted_plan_stream_is_read_again_when_it_is_back(autojump_clock: MockClock) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await ask(rig, "before")
        evict(rig, rig.keys.plans)
        rig.publish("after")
        assert (await answered(rig, "after"))[0] == "in_flight_permit"
        assert len(rig.redis.xpending(rig.keys.plans, GROUP)) == 0


async def test_a_lease_taken_after_its_key_was_evicted_has_another_token(autojump_clock: MockClock) -> None:
    """So commits under the old one are refused."""
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        evict(rig, rig.keys.lease)
        evict(rig, rig.keys.fence)
        old = rig.lease.value
        reply = await rig.store.hold_lease("other", None, 3_600_000)
        assert old is not None and reply.held and reply.fence != old.fence
        rig.publish("fenced")
        await trio.sleep(1)
        assert rig.permit("fenced") is None


@pytest.mark.parametrize("unbroken", [True, False])
async def test_closes_go_on_under_another_token_where_no_other_process_has_held_the_lease(
    unbroken: bool, autojump_clock: MockClock
) -> None:
    async with on_virtual_time() as rig:
        rig.holds(SYMBOL, "4")
        await ask(rig, "half", action="PARTIAL_50")
        evict(rig, rig.keys.lease)
        evict(rig, rig.keys.open_permits(SYMBOL))
        before = rig.lease.value
        assert before is not None
        reply = await rig.store.hold_lease("me", before.fence, 3_600_000)
        rig.lease.send(Lease(reply.fence, "me", since=before.fence if unbroken else None))
        await trio.sleep(2)
        rig.position(SYMBOL, "4")
        rig.publish("rest")
        expected = ("sanity_checks_passed", 2) if unbroken else ("recovering", None)
        assert await answered(rig, "rest") == expected
