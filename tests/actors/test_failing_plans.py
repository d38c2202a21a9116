"""A plan that fails by itself is answered after three failures; one that was only nearby is decided."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import trio

from actors.permit_evaluator import deciding
from actors.stream_consumer import FailureCounter
from brain.decisions.decision import decide_on
from brain.decisions.facts import Facts
from brain.identifiers import EntryId, FencingToken
from brain.plans.permit import Decision
from store.errors import StoreRefusedError, StoreUnavailableError
from store.records import DecisionCommit, Entry
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.background import background, count_crashes
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_plan_whose_decision_raises_is_answered_after_three_failures_and_does_not_stop_the_rest(
    rig: EvaluatorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.holds("BTCUSDT", "1")

    def explode(facts: Facts) -> Decision:
        if facts.plan.plan_id == "raises":
            raise ZeroDivisionError
        return decide_on(facts)

    monkeypatch.setattr(deciding, "decide_on", explode)
    await rig.store.plans.create(lost=False)
    rig.publish("before", action="PARTIAL_50")
    rig.publish("raises")
    rig.publish("after", action="PARTIAL_50")
    assert await count_crashes(partial(running_evaluator, rig), runs=5, for_sec=0.5) == 3
    assert rig.reason("raises") == "evaluation_failed"
    assert rig.reason("before") == rig.reason("after") == "sanity_checks_passed"
    assert len(rig.redis.xrange(rig.keys.dead_plans)) == 1
    assert rig.pending() == 0


async def test_crashes_of_another_plan_are_no_failures_of_a_plan_that_waits_for_a_read(
    rig: EvaluatorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising = set[str]()

    def explode(facts: Facts) -> Decision:
        if facts.plan.plan_id in raising:
            raising.remove(facts.plan.plan_id)
            raise ZeroDivisionError
        return decide_on(facts)

    monkeypatch.setattr(deciding, "decide_on", explode)
    rig.ledger("BTCUSDT", "1")
    rig.holds("ETHUSDT", "1")
    await rig.store.plans.create(lost=False)
    rig.publish("waiting")
    crashes = 0
    for number in range(6):
        raising.add(f"raises-{number}")
        try:
            async with running_evaluator(rig):
                await trio.sleep(0.2)
                rig.publish(f"raises-{number}", "ETHUSDT", action="PARTIAL_50")
                await trio.sleep(0.2)
        except* ZeroDivisionError:
            crashes += 1
    assert crashes == 6
    _, _, deliveries = next(iter(rig.redis.xpending(rig.keys.plans, "p33").values()))
    assert deliveries > 3, "it was in hand each time"

    async with running_evaluator(rig), background(rig.show_reads, 0.3, "1"):
        await trio.sleep(0.5)
        assert rig.reason("waiting") == "sanity_checks_passed"
        assert rig.pending() == 0


async def test_outages_of_redis_are_no_failures_of_the_plans_in_hand(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    async with running_evaluator(rig):
        for _ in range(5):
            rig.store.faults.fail_next("before", method="commit_decisions")
        rig.publish("p")
        await trio.sleep(3)
        assert rig.reason("p") == "sanity_checks_passed"


async def test_deliveries_from_before_this_process_count_as_failures(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    await rig.store.plans.create(lost=False)
    rig.publish("p")
    fence = await rig.take_lease()
    another = type(rig.store)(rig.redis, keys=rig.keys, consumer="another")
    assert len(await another.plans.read_new(count=1, block_ms=0)) == 1
    for _ in range(2):
        assert await another.plans.recover(fence=fence, after="0", idle_ms=0, count=1)
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        assert rig.reason("p") == "evaluation_failed"
        assert rig.answer("p")["details"] == {"attempts": 3}
        ((_, letter),) = rig.redis.xrange(rig.keys.dead_plans)
        assert letter[b"error"] == b"deciding it has failed 3 times"


@pytest.mark.parametrize("failed", [False, True])
async def test_plans_of_a_dead_process_are_claimed_together_though_one_in_hand_has_failed(
    rig: EvaluatorRig, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    rig.holds("BTCUSDT", "1")
    await rig.store.plans.create(lost=False)
    for number in range(100):
        rig.publish(f"p{number}", action="PARTIAL_50")
    dead = type(rig.store)(rig.redis, keys=rig.keys, consumer="dead")
    (first, *_) = await dead.plans.read_new(count=100, block_ms=0)
    if failed:
        with pytest.raises(ZeroDivisionError), rig.failures.attributed_to((first.id,)):
            raise ZeroDivisionError
    recovered: list[int] = []
    recover = rig.store.plans.recover

    async def counted(*, fence: FencingToken, after: str, idle_ms: int, count: int) -> list[Entry]:
        entries = await recover(fence=fence, after=after, idle_ms=idle_ms, count=count)
        recovered.append(len(entries))
        return entries

    monkeypatch.setattr(rig.store.plans, "recover", counted)
    async with running_evaluator(rig):
        await trio.sleep(0.5)
        assert recovered == [64, 36, 0]
        assert rig.reason("p0") == "sanity_checks_passed"
        assert all(rig.reason(f"p{number}") for number in range(100))
        assert rig.pending() == 0


async def test_a_plan_whose_commit_redis_refuses_is_answered_and_the_rest_is_decided(
    rig: EvaluatorRig,
) -> None:
    rig.holds("BTCUSDT", "1")

    async def refuse(decisions: Sequence[DecisionCommit]) -> None:
        if any(decision.plan_id == "raises" and not decision.dead_fields for decision in decisions):
            raise StoreRefusedError("ERR too many results to unpack")

    rig.store.before_commit = refuse
    await rig.store.plans.create(lost=False)
    for plan_id in ("before", "raises", "after"):
        rig.publish(plan_id, action="PARTIAL_50")
    running = partial(running_evaluator, rig)
    assert await count_crashes(running, runs=6, for_sec=0.2, error=StoreRefusedError) == 3
    assert rig.reason("raises") == "evaluation_failed"
    assert rig.reason("before") == rig.reason("after") == "sanity_checks_passed"
    assert rig.pending() == 0


def test_an_interruption_is_no_failure_and_an_error_is() -> None:
    failures = FailureCounter()
    assert failures.of(EntryId("1-0"), 1) == 0
    with pytest.raises(StoreUnavailableError), failures.attributed_to([EntryId("1-0")]):
        raise StoreUnavailableError
    with pytest.raises(ZeroDivisionError), failures.attributed_to([EntryId("1-0"), EntryId("2-0")]):
        raise ZeroDivisionError
    assert failures.of(EntryId("1-0"), 3) == 1, "how often it was delivered since does not matter"
    assert failures.of(EntryId("2-0"), 2) == 1
    assert failures.of(EntryId("3-0"), 2) == 1, "the outcome of the first delivery is unknown"
    failures.done(EntryId("1-0"))
    assert failures.of(EntryId("1-0"), 1) == 0


async def test_no_failures_are_kept_of_acknowledged_plans(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    async with running_evaluator(rig):
        rig.publish("decided")
        rig.publish("decided")
        rig.publish("skipped", decision="SKIP")
        rig.publish("malformed", qty="NaN")
        rig.redis.xadd(rig.keys.plans, {"symbol": "no plan id"})
        await trio.sleep(0.1)
        assert rig.pending() == 0
        assert rig.failures._failed == {}


def test_the_oldest_of_10_000_entries_is_forgotten() -> None:
    failures = FailureCounter()
    assert failures.of(EntryId("0-1"), deliveries=3) == 2
    for number in range(1, 10_001):
        failures.of(EntryId(f"{number}-0"), deliveries=1)
    assert failures.of(EntryId("0-1"), deliveries=1) == 0
