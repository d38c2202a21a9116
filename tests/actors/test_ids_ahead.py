"""Entry ids that are ahead of Redis's clock change no decision, and clocks apart none either. Virtual time.

One explicit id is enough, or a clock of Redis's host that was ahead and is set right: all ids after that are
at least as large.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.clock_watch import ClockWatch
from channels import Observe
from store.records import CommitReply
from supervision import Heartbeat
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.actors.ledger_rig import LedgerRig, running_writer
from tests.actors.test_exits_behind_fills import FillsAndExits
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time

HALF_HOUR_MS, TWO_HOURS_MS = 1_800_000, 7_200_000
AHEAD_MS = [HALF_HOUR_MS, TWO_HOURS_MS]


def now_ms(rig: EvaluatorRig) -> int:
    """Redis's clock."""
    return rig.redis.now_ms()


async def put_ahead(rig: EvaluatorRig, ahead_ms: int) -> None:
    """Publish one plan under an explicit id, and wait until it is read."""
    rig.publish("ahead", "SOLUSDT", entry_id=f"{now_ms(rig) + ahead_ms}-0", decision="HOLD")
    await trio.sleep(0.1)


@pytest.fixture
async def rig(autojump_clock: MockClock) -> EvaluatorRig:
    made = EvaluatorRig()
    made.holds("BTCUSDT", "1")
    made.holds("ETHUSDT", "0")
    return made


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_an_exit_is_allowed_whatever_the_ids(rig: EvaluatorRig, ahead_ms: int) -> None:
    async with running_evaluator(rig):
        await put_ahead(rig, ahead_ms)
        rig.publish("exit", timestamp=f"{now_ms(rig) / 1000}")
        await trio.sleep(0.1)
        assert rig.reason("exit") == "sanity_checks_passed"


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_the_cooldown_holds_whatever_the_ids(rig: EvaluatorRig, ahead_ms: int) -> None:
    async with running_evaluator(rig):
        await put_ahead(rig, ahead_ms)
        rig.redis.set(rig.keys.cooldown("BTCUSDT"), str(now_ms(rig) - 1_000))
        rig.publish("exit")
        await trio.sleep(0.1)
        assert rig.reason("exit") == "cooldown_in_flight"


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_opens_wait_after_another_run_of_redis_whatever_the_ids(
    rig: EvaluatorRig, ahead_ms: int
) -> None:
    async with running_evaluator(rig):
        await put_ahead(rig, ahead_ms)
        rig.redis.restart()
        await trio.sleep(1)
        rig.publish_entry("open", "ETHUSDT")
        rig.publish("exit")
        await trio.sleep(0.1)
        assert rig.reason("open") == "recovering"
        assert rig.reason("exit") == "sanity_checks_passed"


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_a_plan_that_lay_unread_at_a_start_is_expired(rig: EvaluatorRig, ahead_ms: int) -> None:
    await rig.store.plans.create(lost=False)
    rig.publish("in order")
    await put_ahead(rig, ahead_ms)
    rig.publish("exit")
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        assert rig.reason("in order") == "sanity_checks_passed"
        assert rig.reason("exit") == "plan_expired"
        assert rig.answer("exit")["details"]["entry_age_sec"] is None
        rig.publish("live", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("live") == "no_position"


async def test_a_plan_that_waited_through_an_outage_is_as_old_as_the_outage(rig: EvaluatorRig) -> None:
    async with running_evaluator(rig):
        await put_ahead(rig, HALF_HOUR_MS)
        for outage_sec, reason in ((2.0, "sanity_checks_passed"), (6.0, "plan_expired")):
            rig.position("BTCUSDT", "1")
            plan_id = f"after {outage_sec}"
            with rig.store.faults.outage():
                await trio.sleep(0.5)
                rig.publish(plan_id)
                await trio.sleep(outage_sec)
            rig.position("BTCUSDT", "1")
            await trio.sleep(2.5)
            assert rig.reason(plan_id) == reason
            rig.redis.hdel(rig.keys.open_permits("BTCUSDT"), f"p:{plan_id}")


async def test_a_plan_that_a_failed_commit_left_pending_keeps_its_age(rig: EvaluatorRig) -> None:
    async with running_evaluator(rig):
        await put_ahead(rig, HALF_HOUR_MS)
        rig.store.faults.fail_next("before", method="commit_decisions")
        rig.publish("exit")
        await trio.sleep(1)
        assert rig.reason("exit") == "sanity_checks_passed"


async def test_the_latency_of_a_plan_ahead_is_measured_from_its_arrival(rig: EvaluatorRig) -> None:
    async with running_evaluator(rig):
        await put_ahead(rig, HALF_HOUR_MS)
        await rig.metrics.receive_all()
        rig.publish("exit")
        await trio.sleep(0.1)
        observed = [event for event in await rig.metrics.receive_all() if isinstance(event, Observe)]
        latencies = [event.seconds for event in observed if event.name == "p33_decision_latency_seconds"]
        assert len(latencies) == 1 and latencies[0] < 0.1


async def test_after_redis_is_set_back_exits_go_on_and_opens_wait_one_permit_ttl(rig: EvaluatorRig) -> None:
    """A host that starts with a clock ahead: Redis dates its run by it, and is set right then."""
    rig.redis_off_ms = TWO_HOURS_MS
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        rig.redis.restart()
        await trio.sleep(1)
        rig.publish("before")
        await trio.sleep(0.5)
        rig.redis_off_ms = 0
        await trio.sleep(2.5)
        rig.position("BTCUSDT", "1")
        rig.publish("exit")
        rig.publish_entry("open", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("before") == "sanity_checks_passed"
        assert rig.reason("exit") == "in_flight_permit", "the same as without a step"
        assert rig.reason("open") == "recovering"
        await trio.sleep(62)
        rig.position("ETHUSDT", "0")
        rig.publish_entry("later", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("later") == "open_permit_granted"


@pytest.mark.parametrize("off_sec", [-70, -7, -3, 0, 3, 7, 70])
async def test_permits_are_dated_by_the_clock_of_redis(rig: EvaluatorRig, off_sec: int) -> None:
    rig.redis_off_ms = off_sec * 1000
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        rig.publish("exit")
        rig.redis.xadd(rig.keys.plans, {"plan_id": "malformed", "symbol": "BTCUSDT", "decision": "EXECUTE"})
        published_ms = now_ms(rig)
        await trio.sleep(0.1)
        for plan_id in ("exit", "malformed"):
            permit = rig.answer(plan_id)
            assert published_ms <= permit["created_at"] * 1000 <= published_ms + 50
            assert permit["ts_epoch"] == int(permit["created_at"])


@pytest.mark.parametrize("step_sec", [-20, -2, 2, 20])
async def test_a_commit_that_redis_dates_otherwise_than_its_decision_is_decided_again(
    rig: EvaluatorRig, step_sec: int
) -> None:
    async with running_evaluator(rig):
        await trio.sleep(0.1)
        rig.publish("first", action="PARTIAL_50")
        await trio.sleep(0.1)
        assert rig.reason("first") == "sanity_checks_passed", "what Redis holds of the symbol is known now"

        async def step(_decisions: object) -> None:
            rig.store.before_commit = None
            rig.redis_off_ms = step_sec * 1000

        committed: list[CommitReply] = []
        rig.store.before_commit, rig.store.after_commit = step, committed.append
        rig.publish("exit")
        await trio.sleep(0.2)
        assert abs(rig.answer("exit")["created_at"] * 1000 - committed[-1].now_ms) < 1_000


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_an_exit_waits_for_the_result_of_its_own_fill_whatever_the_ids(ahead_ms: int) -> None:
    for stream in ("plans", "results"):
        world = FillsAndExits()
        async with world.running(), trio.open_nursery() as nursery:
            key = getattr(world.keys, stream)
            world.redis.xadd(key, {"x": "y"}, entry_id=f"{world.redis.now_ms() + ahead_ms}-0")
            await trio.sleep(0.1)
            filled = await world.opened()
            nursery.start_soon(world.push, "1", "BUY", filled, 0.08)
            assert await world.ask() <= 0.1
            assert world.permits.reason("exit") == "sanity_checks_passed"
            assert world.reads == 0


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_a_result_that_is_itself_ahead_is_waited_for(ahead_ms: int) -> None:
    world = FillsAndExits()
    world.store.booking_sec = 0.1
    async with world.running():
        world.permits.publish_entry("entry", qty="3")
        await trio.sleep(0.02)
        filled = world.clock.now()
        world.exchange.fill("BTCUSDT", "1", "BUY", "3")
        await world.push("1", "BUY", filled, 0)
        entry_id = f"{world.redis.now_ms() + ahead_ms}-0"
        world.ledgers.publish_result("BTCUSDT", "1", "BUY", "3", plan_id="entry", entry_id=entry_id)
        assert await world.ask() < 0.3
        assert world.permits.reason("exit") == "sanity_checks_passed"


@pytest.mark.parametrize("unread_at_the_start", [True, False])
@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
async def test_a_fill_that_the_adopted_ledger_contains_counts_once_whatever_the_ids(
    ahead_ms: int, unread_at_the_start: bool
) -> None:
    rig = LedgerRig()
    rig.exchange.set("ETHUSDT", "0", update_time_ms=0)
    await rig.store.results.create(lost=False)
    rig.exchange.fill("ETHUSDT", "1", "BUY", "2")
    rig.observe("ETHUSDT")
    entry_id = f"{rig.redis.now_ms() + ahead_ms}-0"
    if unread_at_the_start:
        rig.publish_result("ETHUSDT", "1", "BUY", "2", entry_id=entry_id)
    async with running_writer(rig):
        await trio.sleep(1)
        assert rig.amount("ETHUSDT") == "2"
        if not unread_at_the_start:
            rig.publish_result("ETHUSDT", "1", "BUY", "2", entry_id=entry_id)
        await trio.sleep(10)
        assert rig.pending() == 0
        assert rig.amount("ETHUSDT") == "2"


async def test_results_are_booked_when_the_stream_is_made_anew_below_the_last_id() -> None:
    rig = LedgerRig()
    rig.exchange.set("ETHUSDT", "0", update_time_ms=0)
    rig.observe("ETHUSDT")
    async with running_writer(rig):
        await trio.sleep(1)
        rig.publish_result("ETHUSDT", "1", "BUY", "2", entry_id=f"{rig.redis.now_ms() + HALF_HOUR_MS}-0")
        await trio.sleep(5)
        rig.redis.delete(rig.keys.results)
        await trio.sleep(5)
        rig.publish_result("ETHUSDT", "2", "BUY", "1")
        await trio.sleep(5)
        assert rig.amount("ETHUSDT") == "3"


@pytest.mark.parametrize("off_sec", [-70, 70])
async def test_ledgers_are_dated_by_the_clock_of_redis(off_sec: int) -> None:
    rig = LedgerRig()
    rig.redis_off_ms = off_sec * 1000
    rig.exchange.set("ETHUSDT", "0", update_time_ms=0)
    rig.observe("ETHUSDT")
    async with running_writer(rig):
        await trio.sleep(1)
        adopted_sec = Decimal(rig.ledger("ETHUSDT")["last_update_ts"])
        assert abs(adopted_sec * 1000 - rig.redis.now_ms()) <= 1_000
        rig.execute("ETHUSDT", "1", "BUY", "2")
        await trio.sleep(0.1)
        booked_sec = Decimal(rig.ledger("ETHUSDT")["last_order_time_epoch"])
        assert abs(booked_sec * 1000 - rig.redis.now_ms()) <= 200


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
@pytest.mark.parametrize("stream", ["apply.plan", "apply.result", "trade.intent"])
async def test_an_id_ahead_is_in_the_log_within_a_second(stream: str, ahead_ms: int) -> None:
    world = FillsAndExits()
    with capture_logs() as logged:
        watch = ClockWatch(world.store, world.ledgers.clocks, log=structlog.get_logger())
        async with world.running(), background(watch.run, Heartbeat()):
            await trio.sleep(0.3)
            key = f"{world.keys.prefix}:stream:{stream}"
            world.redis.xadd(key, {"x": "y"}, entry_id=f"{world.redis.now_ms() + ahead_ms}-0")
            await trio.sleep(0.9)
    warned = [line["event"] for line in logged if line["event"].startswith("Clocks:")]
    assert warned == [
        f"Clocks: new entries of {stream} have ids {ahead_ms // 1000} s ahead of Redis's clock: they count "
        "as published when they arrive, and as expired where they lay unread at a start"
    ]


async def test_clocks_apart_are_in_the_log_once_and_so_is_their_end() -> None:
    rig = EvaluatorRig()
    watch = ClockWatch(rig.store, rig.clocks, log=structlog.get_logger())
    with capture_logs() as logged:
        async with background(watch.run, Heartbeat()):
            await trio.sleep(1)
            rig.redis_off_ms = -7_000
            await trio.sleep(3)
            rig.redis_off_ms = 0
            await trio.sleep(1)
    assert [line["event"] for line in logged] == [
        "Clocks: this host's clock is 7.0 s ahead of Redis's",
        "Clocks: this host's clock is 7.0 s ahead of Redis's: not ready",
        "Clocks: no longer: this host's clock is 7.0 s ahead of Redis's",
        "Clocks: no longer: this host's clock is 7.0 s ahead of Redis's: not ready",
    ]
