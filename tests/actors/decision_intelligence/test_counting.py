"""Decision intelligence counts each result once, whatever fails, and rebuilds its windows."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from brain.identifiers import FencingToken
from brain.intelligence.outcome import read_outcome
from brain.intelligence.windows import WINDOWS
from channels import Lease
from store.keys import Keys
from store.memory.faults import Effect
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.intelligence_rig import GROUP, NAMES, STREAM, IntelligenceRig, running
from tests.background import count_crashes
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
async def rig() -> IntelligenceRig:
    return IntelligenceRig()


async def test_results_are_counted_and_acknowledged_as_they_come(rig: IntelligenceRig) -> None:
    async with running(rig):
        first = rig.executed()
        rig.denied()
        await trio.sleep(0.1)
        assert rig.bucket(first) == {
            "decision:EXECUTE": 1,
            "decision:BLOCKED": 1,
            "reason:none": 1,
            "reason:p33_permit_denied:no_position": 1,
            "gate:p33:p33_permit_denied:no_position": 1,
            "symbol_reason:BTCUSDT:none": 1,
            "symbol_reason:BTCUSDT:p33_permit_denied:no_position": 1,
        }
        assert rig.redis.xpending(STREAM, GROUP) == {}
        assert await rig.metrics() == {
            ("p35_results_total", ("EXECUTE",)): 1,
            ("p35_results_total", ("BLOCKED",)): 1,
            ("p35_reason_total", ("p33", "p33_permit_denied:no_position")): 1,
            ("p35_lag_seconds", ()): 2,
        }


async def test_symbols_are_left_out_where_that_is_asked_for() -> None:
    for name in ("P35_SYMBOL_BREAKDOWN", "ENABLE_SYMBOL_BREAKDOWN"):
        rig = IntelligenceRig(**{name: "false"})
        async with running(rig):
            entry_id = rig.executed()
            await trio.sleep(0.1)
            assert rig.bucket(entry_id) == {"decision:EXECUTE": 1, "reason:none": 1}


async def test_windows_follow_every_five_seconds_and_end_with_their_minutes(rig: IntelligenceRig) -> None:
    """The first minute has 40 s left when the service starts."""
    async with running(rig):
        for _ in range(3):
            rig.executed()
        rig.denied()
        await trio.sleep(7)
        assert all(rig.decisions(name) == {"EXECUTE": 3, "BLOCKED": 1} for name in WINDOWS)
        assert rig.counts(NAMES.gates("1m")) == {"p33:p33_permit_denied:no_position": 1}
        assert rig.redis.zrange(NAMES.reasons("1m")) == [b"p33_permit_denied:no_position", b"none"]
        status = rig.redis.hgetall(NAMES.status)
        assert status.keys() == {
            b"last_id", b"last_ts", b"processed_total", b"pending_estimate", b"service_start_ts",
            b"consumer_name",
        }  # fmt: skip
        assert (status[b"processed_total"], status[b"pending_estimate"]) == (b"4", b"0")
        assert (status[b"consumer_name"], status[b"service_start_ts"]) == (b"me", b"1760000000")
        await trio.sleep(40)
        assert rig.redis.kind(NAMES.decisions("1m")) == "none"
        rig.publish(decision="SKIP", executed="false", reason="dust")
        await trio.sleep(6)
        assert rig.decisions("1m") == {"SKIP": 1}
        assert rig.decisions("5m") == {"EXECUTE": 3, "BLOCKED": 1, "SKIP": 1}
        await trio.sleep(300)
        assert rig.redis.kind(NAMES.decisions("5m")) == rig.redis.kind(NAMES.gates("5m")) == "none"
        assert rig.decisions("15m") == {"EXECUTE": 3, "BLOCKED": 1, "SKIP": 1}
        await trio.sleep(3_600)
        assert all(rig.redis.kind(NAMES.decisions(name)) == "none" for name in WINDOWS)
        assert rig.counted() == 5


async def test_windows_have_what_was_counted_while_their_buckets_were_read(rig: IntelligenceRig) -> None:
    """Counts go on all the time; in the end each window is the sum of its buckets."""
    async with running(rig):
        for number in range(400):
            rig.denied(f"reason_{number % 7}")
            await trio.sleep(0.05)
        await trio.sleep(10)
        assert rig.decisions("5m") == {"BLOCKED": 400}
        assert sum(rig.counts(NAMES.gates("5m")).values()) == 400


async def test_a_count_in_a_minute_that_is_not_read_again_disturbs_no_read() -> None:
    """Over a slow Redis, results come one at a time, at any moment of a rebuild."""
    rig = IntelligenceRig()
    slow = MemoryStore(rig.redis, keys=Keys("quantum"), consumer="me", crossing=partial(trio.sleep, 0.3))
    async with running(rig, rig.another_making(slow)):
        await trio.sleep(5)
        for _ in range(100):
            rig.denied()
            await trio.sleep(6.1)
        await trio.sleep(10)
        assert rig.decisions("1h") == {"BLOCKED": 100}


async def test_a_bucket_that_is_deleted_leaves_the_windows_within_a_minute(rig: IntelligenceRig) -> None:
    async with running(rig):
        entry_id = rig.executed()
        await trio.sleep(7)
        rig.redis.delete(rig.buckets()[0])
        await trio.sleep(66)
        assert rig.bucket(entry_id) == {}
        assert rig.redis.kind(NAMES.decisions("1h")) == "none"


async def test_the_distribution_is_logged_once_a_minute(rig: IntelligenceRig) -> None:
    async with running(rig):
        rig.executed()
        rig.denied()
        rig.publish(executed="false")
        rig.publish(executed="false", error="APIError(code=-2019): Margin is insufficient.")
        rig.publish(decision="HOLD")
        await trio.sleep(184)
    lines = [line for line in rig.lines() if "distribution" in line]
    assert lines == [
        "P3.5 gate distribution 5m: EXECUTE=1 BLOCKED=1 SKIP=1 ERROR=1 "
        "reason=binance_error:-2019:1 reason=p33_permit_denied:no_position:1 UNKNOWN=1"
    ] * 2 + [lines[-1]]
    assert rig.redis.zrange(NAMES.unknown) == [b"HOLD"]


async def test_pending_results_are_counted_before_new_ones(rig: IntelligenceRig) -> None:
    """A process died between reading and counting; another of the same name goes on."""
    await rig.store.counted_results.create(lost=False)
    for _ in range(3):
        rig.executed()
    await rig.store.counted_results.read_new(count=2, block_ms=0)
    async with running(rig):
        await trio.sleep(0.1)
        assert rig.counted() == 3
        assert rig.redis.xpending(STREAM, GROUP) == {}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "method", ["count_results", "write_windows", "intelligence_buckets", "counted_results.read_new"]
)
async def test_a_call_that_fails_or_whose_answer_is_lost_counts_nothing_twice(
    rig: IntelligenceRig, method: str, when: Effect
) -> None:
    async with running(rig):
        for _ in range(20):
            rig.redis.faults.fail_next(when, method=method)
            rig.denied()
            await trio.sleep(0.7)
        rig.redis.faults.forget()
        await trio.sleep(10)
        assert rig.counted() == 20
        assert rig.decisions("5m") == {"BLOCKED": 20}


async def test_a_lost_group_is_created_behind_what_was_counted(rig: IntelligenceRig) -> None:
    async with running(rig):
        for _ in range(5):
            rig.executed()
        await trio.sleep(1)
        rig.redis.xgroup_destroy(STREAM, GROUP)
        for _ in range(5):
            rig.denied()
        await trio.sleep(5)
        assert rig.counted() == 10
        assert rig.redis.xpending(STREAM, GROUP) == {}


async def test_a_wiped_redis_is_counted_from_its_first_result_on(rig: IntelligenceRig) -> None:
    async with running(rig):
        rig.executed()
        await trio.sleep(7)
        rig.redis.flushall()
        await rig.take_lease()
        for _ in range(4):
            rig.denied()
        await trio.sleep(8)
        assert rig.counted() == 4
        assert rig.decisions("1h") == {"BLOCKED": 4}
        assert rig.redis.hgetall(NAMES.status)[b"processed_total"] == b"4"


async def test_a_result_that_was_trimmed_before_it_was_read_is_counted_in_its_minute(
    rig: IntelligenceRig,
) -> None:
    await rig.store.counted_results.create(lost=False)
    entry_id = rig.executed()
    await rig.store.counted_results.read_new(count=1, block_ms=0)
    rig.redis.xdel(STREAM, entry_id)
    async with running(rig):
        await trio.sleep(0.1)
        assert rig.bucket(entry_id) == {"decision:UNKNOWN:trimmed": 1, "reason:trimmed": 1}
        assert rig.redis.xpending(STREAM, GROUP) == {}


WRONG = [NAMES.status, NAMES.gates("5m"), NAMES.reasons("1h"), NAMES.counted_ahead, NAMES.results.last_id]


@pytest.mark.parametrize("key", WRONG)
async def test_a_key_of_a_wrong_type_is_named_and_waited_for(rig: IntelligenceRig, key: str) -> None:
    rig.redis.xadd(key, {"a": "b"})
    async with running(rig) as heartbeat:
        for _ in range(3):
            rig.executed()
        await trio.sleep(20)
        waits = [wait.what for wait in heartbeat.waits()]
        logged = rig.lines("warning")
        assert any(key in text for text in [*waits, *logged])
        rig.redis.delete(key)
        await trio.sleep(1)
        for _ in range(3):
            rig.denied()
        await trio.sleep(10)
        # Without the last id no group begins.
        assert rig.counted() == (3 if key == NAMES.results.last_id else 6)
        assert sum(rig.decisions("5m").values()) == rig.counted()


async def test_a_standby_counts_nothing_and_goes_on_where_the_other_stopped(rig: IntelligenceRig) -> None:
    async with running(rig):
        rig.executed()
        await trio.sleep(1)
        await rig.store.release_lease(fence_of(rig))
        other = rig.another_store("other")
        reply = await other.hold_lease("other", None, 86_400_000)
        rig.channels.lease.send(Lease(None, "other"))
        for _ in range(3):
            rig.executed()
        await trio.sleep(10)
        assert rig.counted() == 1
        await other.release_lease(reply.fence)
        await rig.take_lease()
        await trio.sleep(3)
        assert rig.counted() == 4


def fence_of(rig: IntelligenceRig) -> FencingToken:
    lease = rig.channels.lease.value
    assert lease is not None and lease.fence is not None
    return lease.fence


async def test_a_result_that_fails_three_times_becomes_a_dead_letter_and_stops_no_other(
    rig: IntelligenceRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No entry is known to fail: a reader that cannot divide stands for one."""

    def fails(fields: dict[bytes, bytes]) -> object:
        return 1 // 0 if fields.get(b"plan_id") == b"poison" else read_outcome(fields)

    monkeypatch.setattr("actors.decision_intelligence.actor.read_outcome", fails)
    await rig.store.counted_results.create(lost=False)
    rig.executed()
    poison = rig.publish(plan_id="poison")
    rig.executed()
    crashes = await count_crashes(lambda: running(rig), runs=6, for_sec=3)
    assert crashes == 3
    assert rig.counted() == 2
    ((_, letter),) = rig.redis.xrange(NAMES.results.dead)
    assert (letter[b"entry_id"], letter[b"error"]) == (poison.encode(), b"evaluation_failed")
    assert rig.redis.xpending(STREAM, GROUP) == {}
    assert rig.lines("warning") == ["Result not counted: it has failed too often"]


async def test_it_waits_while_another_player_counts(rig: IntelligenceRig) -> None:
    other = rig.another_store("p35-old").counted_results
    await other.create(lost=False)
    rig.executed()
    await other.read_new(count=1, block_ms=0)
    heartbeat = Heartbeat()
    async with running(rig, heartbeat=heartbeat):
        expected = f"another P3.5 works on `{STREAM}`: consumer p35-old, idle 0.0 s"
        assert [wait.what for wait in heartbeat.waits()] == [expected]
        await trio.sleep(25)
        assert rig.counted() == 0
        await trio.sleep(7)
        assert rig.counted() == 1


async def test_reasons_of_the_metric_stay_few(rig: IntelligenceRig) -> None:
    async with running(rig):
        for number in range(300):
            rig.publish(executed="false", error=f"word_{number}")
        await trio.sleep(2)
        reasons = {labels for name, labels in await rig.metrics() if name == "p35_reason_total"}
        assert len(reasons) == 201
        assert ("executor", "other") in reasons


async def test_the_status_shows_the_windows(rig: IntelligenceRig) -> None:
    async with running(rig):
        rig.executed()
        rig.denied()
        await trio.sleep(7)
    shown = rig.shown
    assert shown is not None
    assert [window.name for window in shown.windows] == list(WINDOWS)
    assert shown.windows[0].decisions == {"EXECUTE": 1, "BLOCKED": 1, "SKIP": 0, "ERROR": 0, "UNKNOWN": 0}
    assert shown.windows[0].gates == (("p33:p33_permit_denied:no_position", 1),)
    assert (shown.counted, shown.pending) == (2, 0)
