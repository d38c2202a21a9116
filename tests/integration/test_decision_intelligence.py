"""Decision intelligence in a real daemon, beside executors that are ours and others'."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio

from simulator import RunningSimulator
from tests.integration.counted_results import (
    COUNTED_WITHIN_SEC,
    DIALECTS,
    GROUP,
    NAMES,
    asked,
    bucket,
    counted,
    group_exists,
    load,
    publish,
    published,
    shown,
)
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import RESULTS, Pipeline, entry
from tests.integration.played_governor import PlayedGovernor
from tests.integration.surroundings import environment
from tests.integration.waiting import until, until_async

#: A few in the suite; ten with P33_TEST_INTELLIGENCE_KILLS=10.
KILLS = int(os.environ.get("P33_TEST_INTELLIGENCE_KILLS", "3"))
SEED = 1
PER_SEC = 200.0
SETTINGS = {"P33_DECISION_INTELLIGENCE": "on", "P35_REFRESH_SEC": "1"}


@asynccontextmanager
async def counting(url: str, simulator: RunningSimulator, **settings: str) -> AsyncIterator[DaemonProcess]:
    """Run a daemon that counts results; others may be switched on by `settings`."""
    async with daemon_process(environment(url, simulator, SETTINGS | settings)) as daemon:
        await daemon.ready()
        pipeline = Pipeline(url)
        await until(lambda: group_exists(pipeline), "the group of decision intelligence", 10)
        yield daemon


async def all_is_counted(pipeline: Pipeline) -> None:
    """Wait until the counts of each minute are the results of that minute."""
    await until(
        lambda: counted(pipeline) == published(pipeline), "each result is counted once", COUNTED_WITHIN_SEC
    )
    assert counted(pipeline, "reason") == published(pipeline)
    assert pipeline.redis.xpending(RESULTS, GROUP)["pending"] == 0


async def test_results_of_our_executor_and_of_others_are_counted_by_what_stopped_them(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    governor = PlayedGovernor(pipeline)
    async with counting(redis_server, simulator, P33_EXECUTOR="on", APPLY_PERMIT_WAIT_MS="400") as daemon:
        url = await daemon.url()
        await governor.executor_reads()
        await governor.has_price("SOLUSDT")
        governor.publish("good", entry("SOLUSDT", "0.5"))
        assert (await governor.result("good"))["executed"] == "true"
        governor.publish(
            "closes-nothing",
            {**entry("XRPUSDT", "1", "SELL"), "reduceOnly": "true", "action": "FULL_CLOSE_PROPOSED"},
        )
        pipeline.publish_plan("not-granted", entry("ETHUSDT", "0.1"))
        pipeline.publish_plan("skipped", {**entry("ETHUSDT", "0.1"), "decision": "SKIP", "reason": "dust"})
        for plan_id in ("closes-nothing", "not-granted", "skipped"):
            assert (await governor.result(plan_id))["executed"] == "false"
        for number in range(len(DIALECTS)):
            publish(pipeline, number)
        await all_is_counted(pipeline)
        fields = {field for minute in published(pipeline) for field in bucket(pipeline, minute)}
        assert fields >= {
            "decision:EXECUTE", "decision:BLOCKED", "decision:SKIP", "decision:ERROR",
            "decision:UNKNOWN:HOLD", "gate:p33:p33_permit_denied:no_position",
            "gate:governor:permit_timeout:governor", "gate:plan:dust", "gate:exchange:binance_error:-2019",
            "gate:executor:position_too_small",
            "symbol_reason:SOLUSDT:none", "symbol_reason:XRPUSDT:p33_permit_denied:no_position",
        }  # fmt: skip
        total = sum(published(pipeline).values())

        def window() -> dict[str, int]:
            stored = pipeline.redis.hgetall(NAMES.decisions("1h"))
            return {name: int(number) for name, number in stored.items()}

        await until(lambda: sum(window().values()) == total, "the window of an hour", 10)
        assert window()["EXECUTE"] == 1
        assert window()["UNKNOWN:HOLD"] == 1
        assert pipeline.redis.zscore(NAMES.reasons("1h"), "p33_permit_denied:no_position") == 2
        assert pipeline.redis.hget(NAMES.gates("1h"), "p33:p33_permit_denied:no_position") == "2"
        assert pipeline.redis.zscore(NAMES.unknown, "HOLD") == 1

        async def is_shown() -> dict[str, Any] | None:
            found = await shown(url)
            done = found["windows"] and found["windows"][-1]["results"] == total
            return found if done else None

        found = await until_async(is_shown, "the windows in /status", 10)
        assert found is not None
        assert (found["mode"], found["counted"], found["pending"]) == ("on", total, 0)
        assert found["windows"][-1]["gates"]["p33:p33_permit_denied:no_position"] == 2
        assert found["unknown"] == {"HOLD": 1}
        metrics = (await asked(url, "/metrics")).text
        assert 'p35_results_total{decision="EXECUTE"} 1.0' in metrics
        assert re.search(r'p35_reason_total{gate="p33",reason="p33_permit_denied:no_position"} 2', metrics)
        assert f"p35_lag_seconds_count {total}" in metrics
        page = (await asked(url, "/")).text
        assert 'id="intelligence"' in page and ">p33_permit_denied:no_position<" in page
        status = pipeline.redis.hgetall(NAMES.status)
        assert (status["processed_total"], status["consumer_name"]) == (str(total), "first")
        assert await daemon.stop(signal.SIGTERM) == 0


async def test_kills_under_load_count_no_result_twice_and_miss_none(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    random = Random(SEED)  # noqa: S311 - repeatable
    pipeline.redis.xgroup_create(RESULTS, GROUP, "$", mkstream=True)
    async with load(pipeline, PER_SEC):
        for _ in range(KILLS):
            before = int(pipeline.redis.hget(NAMES.status, "processed_total") or 0)
            async with daemon_process(environment(redis_server, simulator, SETTINGS)) as daemon:
                await until(
                    lambda before=before: (
                        int(pipeline.redis.hget(NAMES.status, "processed_total") or 0)  # type: ignore[misc]
                        > before + 50
                    ),
                    "results are counted",
                    COUNTED_WITHIN_SEC,
                )
                await trio.sleep(random.uniform(0.0, 0.5))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        async with counting(redis_server, simulator):
            await trio.sleep(1)
    assert pipeline.redis.xlen(RESULTS) > 100 * KILLS
    async with counting(redis_server, simulator):
        await all_is_counted(pipeline)
        total = str(sum(published(pipeline).values()))
        assert pipeline.redis.hget(NAMES.status, "processed_total") == total


async def test_it_waits_for_another_player_and_goes_on_where_that_one_stopped(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    redis = pipeline.redis
    redis.xgroup_create(RESULTS, GROUP, "$", mkstream=True)
    for number in range(10):
        publish(pipeline, number)
    (_, rows), *_ = redis.xreadgroup(GROUP, "p35-theirs", {RESULTS: ">"}, count=6)
    redis.xack(RESULTS, GROUP, *(entry_id for entry_id, _ in rows[:4]))
    async with daemon_process(environment(redis_server, simulator, SETTINGS)) as daemon:
        url = await daemon.ready()

        async def waits() -> str:
            redis.xreadgroup(GROUP, "p35-theirs", {RESULTS: ">"}, count=1, block=10)
            return str((await shown(url))["waits_for"] or "")

        what = await until_async(waits, "the wait for the other one", 10)
        assert what.startswith(f"another P3.5 works on `{RESULTS}`: consumer p35-theirs, idle ")
        assert f"Waiting: {what.partition(', idle')[0]}" in daemon.output
        assert counted(pipeline) == {}
        # The other one leaves, with what it was given and did not acknowledge.
        redis.xgroup_delconsumer(RESULTS, GROUP, "p35-gone")
        redis.xclaim(RESULTS, GROUP, "first", 0, [each["message_id"] for each in pending(redis)], justid=True)
        redis.xgroup_delconsumer(RESULTS, GROUP, "p35-theirs")
        await until(lambda: sum(counted(pipeline).values()) == 6, "the rest is counted", 10)
        publish(pipeline, 10)
        await until(lambda: sum(counted(pipeline).values()) == 7, "what is new is counted", 10)
        assert redis.xpending(RESULTS, GROUP)["pending"] == 0


def pending(redis: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = redis.xpending_range(RESULTS, GROUP, "-", "+", 100)
    return rows


async def test_a_take_over_counts_beside_another_player(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    redis = pipeline.redis
    redis.xgroup_create(RESULTS, GROUP, "$", mkstream=True)
    publish(pipeline, 0)
    redis.xreadgroup(GROUP, "p35-theirs", {RESULTS: ">"})
    async with counting(redis_server, simulator, P33_TAKE_OVER="true"):
        publish(pipeline, 1)
        await until(lambda: sum(counted(pipeline).values()) == 2, "both are counted", 10)


@pytest.mark.parametrize("what", ["bucket", "status", "window"])
async def test_a_key_of_a_wrong_type_is_named_and_once_it_is_gone_all_is_counted(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator, what: str
) -> None:
    async with counting(redis_server, simulator) as daemon:
        url = await daemon.url()
        publish(pipeline, 0)
        await all_is_counted(pipeline)
        await until(lambda: pipeline.redis.exists(NAMES.gates("5m")), "a window", 5)
        key = {
            "bucket": next(iter(pipeline.redis.scan_iter(NAMES.bucket("*")))),
            "status": NAMES.status,
            "window": NAMES.gates("5m"),
        }[what]
        kept = pipeline.redis.dump(key) if what != "window" else None
        pipeline.redis.set(key, "text")
        for number in range(1, 20):
            publish(pipeline, number)
        await until(lambda: re.search(rf"Waiting for .*{key}", daemon.output), "the key in the log", 10)
        assert daemon.alive
        # P3.3 decides all the same; who counts says what is in the way.
        assert (await asked(url, "/readyz")).status_code == 200
        waits_for = await until_async(lambda: wait_of(url), "the wait in /status", 10)
        assert key in waits_for
        pipeline.redis.delete(key)
        if kept is not None:
            pipeline.redis.restore(key, 0, kept)
        await all_is_counted(pipeline)
        await until(
            lambda: sum(map(int, pipeline.redis.hgetall(NAMES.decisions("1h")).values())) == 20, "windows", 10
        )


async def test_a_redis_that_is_wiped_is_counted_from_its_first_result_on(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    async with counting(redis_server, simulator):
        for number in range(20):
            publish(pipeline, number)
        await all_is_counted(pipeline)
        pipeline.redis.flushall()
        for number in range(30):
            publish(pipeline, number)
        await all_is_counted(pipeline)
        assert sum(counted(pipeline).values()) == 30
        await until(
            lambda: sum(map(int, pipeline.redis.hgetall(NAMES.decisions("1h")).values())) == 30, "windows", 10
        )
        assert pipeline.redis.hget(NAMES.status, "processed_total") == "30"


async def test_a_lost_group_begins_behind_what_was_counted(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    async with counting(redis_server, simulator):
        async with load(pipeline, PER_SEC):
            for _ in range(3):
                await trio.sleep(0.4)
                pipeline.redis.xgroup_destroy(RESULTS, GROUP)
                await until(lambda: group_exists(pipeline), "the group is there again", 10)
        await all_is_counted(pipeline)


async def test_a_standby_counts_nothing_and_takes_over_when_the_leader_is_killed(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    async with counting(redis_server, simulator) as first:
        second = environment(redis_server, simulator, {**SETTINGS, "P33_INSTANCE": "second"})
        async with daemon_process(second) as standby:
            url = await standby.url()
            await until_async(lambda: is_standby(url), "the standby waits", 10)
            async with load(pipeline, PER_SEC):
                await trio.sleep(0.5)
                assert pipeline.redis.hget(NAMES.status, "consumer_name") == "first"
                assert await first.stop(signal.SIGKILL) == -signal.SIGKILL
                await until(
                    lambda: pipeline.redis.hget(NAMES.status, "consumer_name") == "second", "takes over", 20
                )
                await trio.sleep(0.5)
            await all_is_counted(pipeline)
            assert (await shown(url))["waits_for"] is None


async def is_standby(url: str) -> bool:
    return bool((await shown(url))["doing"] == "waits for the lease")


async def wait_of(url: str) -> str:
    return str((await shown(url))["waits_for"] or "")
