"""Every plan gets one answer, whatever happens between reading it and committing the decision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import trio

from store.records import DecisionCommit
from supervision import Heartbeat
from tests.actors.evaluator_rig import SYMBOLS, EvaluatorRig, running_evaluator
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
async def rig() -> AsyncIterator[EvaluatorRig]:
    """Yields one whose evaluator runs."""
    rig = EvaluatorRig()
    async with running_evaluator(rig):
        yield rig


async def test_a_close_is_allowed_with_the_safe_quantity(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "0.038")
    rig.publish("p", action="PARTIAL_75")
    await trio.sleep(0.01)
    permit = rig.answer("p")
    assert (permit["allow"], permit["reason"]) == (True, "sanity_checks_passed")
    assert permit["safe_close_qty"] == 0.028
    assert rig.audited() == ["p"]
    assert rig.pending() == 0


async def test_an_open_is_granted_and_another_waits_for_it(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "0")
    rig.publish_entry("a")
    rig.publish_entry("b")
    await trio.sleep(0.02)
    assert rig.reason("a") == "open_permit_granted"
    assert rig.reason("b") == "in_flight_permit"


async def test_closes_share_the_position(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    for plan_id in ("a", "b", "c"):
        rig.publish(plan_id, action="PARTIAL_50")
    rig.publish("all")
    rig.publish("none")
    await trio.sleep(0.02)
    quantities = [rig.answer(plan_id)["safe_close_qty"] for plan_id in ("a", "b", "c", "all")]
    assert quantities == [0.5, 0.25, 0.125, 0.125]
    assert rig.reason("none") == "in_flight_permit"


async def test_plans_that_lie_ready_are_decided_together_and_each_symbols_in_order() -> None:
    rig = EvaluatorRig()
    plans: dict[str, list[str]] = {}
    for symbol in SYMBOLS:
        rig.holds(symbol, "1")
    await rig.store.plans.create(lost=False)
    for number in range(240):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        plans.setdefault(symbol, []).append(f"{symbol}-{number}")
        rig.publish(plans[symbol][-1], symbol, action="PARTIAL_50", qty="0.001")
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        audited = rig.audited()
        for symbol, expected in plans.items():
            assert [plan_id for plan_id in audited if plan_id.startswith(symbol)] == expected
        assert {rig.reason(plan_id) for plan_id in audited} == {"sanity_checks_passed"}
        # A batch each, and one more where a batch had to learn what is stored.
        assert rig.store.commits <= 12


async def test_a_plan_published_twice_is_decided_once(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.publish("p")
    rig.publish("p")
    await trio.sleep(0.01)
    assert rig.redis.take(rig.keys.permit("p")) is not None, "the consumer takes it"
    rig.publish("p")
    await trio.sleep(0.01)
    assert rig.permit("p") is None
    assert rig.audited() == ["p"]
    assert rig.pending() == 0


@pytest.mark.parametrize("decision", ["SKIP", "BLOCKED", "HOLD", "ERROR", "HALT"])
async def test_a_skipped_plan_is_acknowledged_and_counted(rig: EvaluatorRig, decision: str) -> None:
    rig.publish("p", decision=decision)
    await trio.sleep(0.01)
    assert rig.permit("p") is None
    assert rig.pending() == 0
    assert (await rig.counts())["p33_plans_skipped_total"] == 1


async def test_a_plan_that_cannot_be_answered_is_a_dead_letter(rig: EvaluatorRig) -> None:
    rig.redis.xadd(rig.keys.plans, {"symbol": "BTCUSDT", "raw": b"\xff\x00" * 5000})
    await trio.sleep(0.01)
    ((_, fields),) = rig.redis.xrange(rig.keys.dead_plans)
    assert b"plan_id" in fields[b"error"]
    assert len(fields[b"raw"]) < 10_000
    assert rig.pending() == 0


async def test_a_malformed_plan_is_denied_with_what_is_wrong(rig: EvaluatorRig) -> None:
    rig.publish("p", qty="NaN")
    await trio.sleep(0.01)
    permit = rig.answer("p")
    assert permit["reason"] == "malformed_plan"
    assert "qty" in permit["details"]


async def test_a_state_that_never_holds_still_is_answered_in_the_end(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")

    async def keep_changing(decisions: Sequence[DecisionCommit]) -> None:
        rig.redis.set(rig.keys.cooldown("BTCUSDT"), str(rig.store.commits))

    rig.store.before_commit = keep_changing
    rig.publish("p")
    await trio.sleep(0.01)
    assert rig.reason("p") == "state_contended"


@pytest.mark.parametrize(
    ("delay_sec", "reason"), [(0.05, "sanity_checks_passed"), (0.2, "stale_exchange_state")]
)
async def test_a_snapshot_that_turns_stale_on_the_way_to_the_commit_allows_nothing(
    delay_sec: float, reason: str
) -> None:
    rig = EvaluatorRig(on_demand=False)
    rig.holds("BTCUSDT", "1")

    async def dawdle(decisions: Sequence[DecisionCommit]) -> None:
        # The first commit finds out what is stored; the second is the ALLOW.
        if rig.store.commits == 2:
            await trio.sleep(delay_sec)

    rig.store.before_commit = dawdle
    async with running_evaluator(rig):
        await trio.sleep(9.9)
        rig.publish("p")
        await trio.sleep(0.5)
        assert rig.reason("p") == reason


async def test_an_unmentioned_permit_ends_when_its_time_to_live_and_the_grace_are_over(
    rig: EvaluatorRig,
) -> None:
    rig.holds("BTCUSDT", "1")
    begun_sec = trio.current_time()
    for plan_id, at_sec, reason in (
        ("first", 0, "sanity_checks_passed"),
        ("consumed", 59, "in_flight_permit"),
        ("graced", 89, "in_flight_permit"),
        ("free", 91, "sanity_checks_passed"),
    ):
        await trio.sleep_until(begun_sec + at_sec)
        rig.position("BTCUSDT", "1")
        rig.publish(plan_id)
        await trio.sleep(0.02)
        assert rig.reason(plan_id) == reason, plan_id
        assert rig.redis.take(rig.keys.permit(plan_id)) is not None


@pytest.mark.parametrize(
    ("ends", "reason"), [(False, "reconcile_close_bypass"), (True, "guardrail_violation")]
)
async def test_a_reconcile_close_whose_hold_ends_before_the_commit_is_not_allowed(
    rig: EvaluatorRig, ends: bool, reason: str
) -> None:
    rig.position("BTCUSDT", "1")
    rig.ledger("BTCUSDT", "0")
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift")

    async def end_the_hold(decisions: Sequence[DecisionCommit]) -> None:
        # The first commit finds out what is stored; the second is the ALLOW.
        if ends and "reconcile_close_bypass" in decisions[0].permit:
            rig.redis.delete(rig.keys.hold("BTCUSDT"))

    rig.store.before_commit = end_the_hold
    rig.publish(
        "p",
        decision="RECONCILE_CLOSE",
        action="",
        side="SELL",
        type="MARKET",
        qty="0.1",
        reason="reconcile_drift",
    )
    await trio.sleep(0.01)
    assert rig.reason("p") == reason
    assert (rig.redis.get(rig.keys.hold("BTCUSDT")) is None) is ends


async def test_a_commit_whose_answer_is_lost_is_found_done(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.publish("first")
    await trio.sleep(0.01)
    rig.store.faults.fail_next("after", method="commit_decisions")
    rig.publish("p", action="PARTIAL_50")
    await trio.sleep(1)
    assert sorted(rig.audited()) == ["first", "p"]
    assert rig.pending() == 0


async def test_plans_that_came_while_redis_was_away_are_answered_when_it_is_back(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    with rig.store.faults.outage():
        await trio.sleep(1)
        rig.publish("p")
        await trio.sleep(1)
        assert rig.permit("p") is None
        assert rig.heartbeat is not None
        assert any("Redis" in wait.what for wait in rig.heartbeat.waits())
    await trio.sleep(1)
    assert rig.reason("p") == "sanity_checks_passed"


async def test_an_entry_that_a_read_swallowed_is_found_again(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.store.faults.fail_next("after", method="plans.read_new")
    rig.publish("p")
    await trio.sleep(3)
    assert rig.reason("p") == "sanity_checks_passed"


async def test_an_entry_that_a_dead_reader_left_behind_is_answered() -> None:
    rig = EvaluatorRig()
    rig.holds("BTCUSDT", "1")
    await rig.store.plans.create(lost=False)
    rig.publish("p")
    other = type(rig.store)(rig.redis, keys=rig.keys, consumer="another")
    assert len(await other.plans.read_new(count=10, block_ms=1)) == 1
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        assert rig.reason("p") == "sanity_checks_passed"


async def test_a_broken_plan_mark_makes_its_plan_a_dead_letter_and_stops_nothing(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.redis.hset(rig.keys.plan_mark("p"), {"not": "a string"})
    rig.publish("p", action="PARTIAL_50")
    rig.publish("next", action="PARTIAL_50")
    await trio.sleep(0.1)
    assert rig.permit("p") is None
    assert rig.reason("next") == "sanity_checks_passed"
    assert len(rig.redis.xrange(rig.keys.dead_plans)) == 1
    assert rig.pending() == 0


async def test_unreadable_open_permits_of_a_symbol_deny_its_plans_and_no_others(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.holds("ETHUSDT", "1")
    rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"p:other": "half the position"})
    rig.publish("p")
    rig.publish("next", "ETHUSDT")
    await trio.sleep(0.1)
    assert rig.reason("p") == "evaluation_failed"
    assert rig.reason("next") == "sanity_checks_passed"
    assert len(rig.redis.xrange(rig.keys.dead_plans)) == 1
    assert rig.pending() == 0


async def test_a_writer_that_lost_its_lease_decides_nothing_until_it_has_it_again(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    rig.redis.set(rig.keys.lease, "9:another")
    rig.publish("p")
    await trio.sleep(1)
    assert rig.permit("p") is None
    assert rig.audited() == []
    rig.redis.delete(rig.keys.lease)
    await rig.take_lease()
    await trio.sleep(1)
    assert rig.reason("p") == "sanity_checks_passed"


async def test_after_another_run_of_redis_opens_wait_and_closes_go_on(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "0")
    rig.holds("ETHUSDT", "1")
    await trio.sleep(0.1)
    rig.redis.restart()
    await trio.sleep(1)
    rig.publish_entry("open")
    rig.publish("close", "ETHUSDT")
    await trio.sleep(0.1)
    assert rig.reason("open") == "recovering"
    assert rig.reason("close") == "sanity_checks_passed"
    await trio.sleep(61)
    rig.position("BTCUSDT", "0")
    rig.publish_entry("later")
    await trio.sleep(0.1)
    assert rig.reason("later") == "open_permit_granted"


async def test_asked_to_stop_it_finishes_what_it_has_in_hand() -> None:
    rig = EvaluatorRig()
    rig.ledger("BTCUSDT", "1")
    await rig.take_lease()
    rig.heartbeat = heartbeat = Heartbeat()
    async with background(rig.show_reads, 0.3, "1"):
        async with trio.open_nursery() as running:
            running.start_soon(rig.evaluator().run, heartbeat)
            await trio.sleep(0.1)
            rig.publish("p")
            await trio.sleep(0.1)
            heartbeat.stopping.set()
            stopped_sec = trio.current_time()
        assert trio.current_time() - stopped_sec < 0.5
        assert rig.reason("p") == "sanity_checks_passed"
