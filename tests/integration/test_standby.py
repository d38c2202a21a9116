"""Two instances: one decides, the other stands by and takes over."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio

from simulator import RunningSimulator
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, entry, executed
from tests.integration.surroundings import SYMBOLS, environment, is_ready, is_unready, trade

TAKEOVER_SEC = 3.0


class Pair(msgspec.Struct, frozen=True):
    """An instance that holds the lease, and one that stands by."""

    first: DaemonProcess
    second: DaemonProcess
    first_url: str
    second_url: str


@pytest.fixture
async def pair(redis_server: str, simulator: RunningSimulator) -> AsyncIterator[Pair]:
    second_settings = {"P33_INSTANCE": "second"}
    async with daemon_process(environment(redis_server, simulator, {})) as first:
        first_url = await first.ready()
        async with daemon_process(environment(redis_server, simulator, second_settings)) as second:
            second_url = await second.url()
            await is_unready(second_url, "standing by", "first")
            yield Pair(first, second, first_url, second_url)


async def test_a_standby_takes_over_within_three_seconds_and_answers_what_was_left(
    pair: Pair, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    answer = await pipeline.ask("before", entry("BTCUSDT", "0.01"))
    assert answer["issued_by"].endswith(" first")

    # Stopped, it is given entries which it never answers.
    pair.first.process.send_signal(signal.SIGSTOP)
    for symbol in SYMBOLS:
        pipeline.publish_plan(f"left-{symbol}", entry(symbol, "20"))
    order = trade(simulator.exchange, "ETHUSDT", "BUY", "0.5")
    pipeline.publish_result(executed("e", "ETHUSDT", order.order_id, "BUY", order.executed))
    pair.first.process.kill()
    killed_sec = trio.current_time()
    await is_ready(lambda: pair.second_url, within_sec=TAKEOVER_SEC)
    answer = await pipeline.ask("after", entry("LTCUSDT", "1"))
    assert answer["issued_by"].endswith(" second")
    assert trio.current_time() - killed_sec < TAKEOVER_SEC
    await pipeline.decided_once(["before", "after", *(f"left-{symbol}" for symbol in SYMBOLS)])
    await pipeline.ledger_reaches("ETHUSDT", "0.5")
    await pipeline.nothing_pends(PLANS, RESULTS)


async def test_an_instance_that_was_stopped_and_goes_on_after_losing_the_lease_writes_nothing_more(
    pair: Pair, pipeline: Pipeline
) -> None:
    pair.first.process.send_signal(signal.SIGSTOP)
    await is_ready(lambda: pair.second_url)
    pair.first.process.send_signal(signal.SIGCONT)
    for symbol in SYMBOLS:
        answer = await pipeline.ask(f"plan-{symbol}", entry(symbol, "20"))
        assert answer["issued_by"].endswith(" second")
    await is_unready(pair.first_url, "standing by", "second")
    await pipeline.nothing_pends(PLANS)
    assert "Actor failed" not in pair.first.output + pair.second.output


async def test_a_clean_stop_hands_over_at_once(pair: Pair, pipeline: Pipeline) -> None:
    assert await pair.first.stop(signal.SIGTERM) == 0
    await is_ready(lambda: pair.second_url, within_sec=1.5)
    answer = await pipeline.ask("after", entry("BTCUSDT", "0.01"))
    assert answer["reason"] == "open_permit_granted"
