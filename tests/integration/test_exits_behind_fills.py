"""A close that is published right behind the result of its own fill, as a process meets it."""

from __future__ import annotations

import time
from statistics import quantiles

import trio

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import Pipeline, entry, executed, full_close
from tests.integration.surroundings import environment, trade

ROUNDS = 40
GAPS_SEC = (0.0, 0.001, 0.002, 0.003, 0.004, 0.005)


async def test_a_close_published_right_behind_its_fills_result_is_allowed(
    redis_server: str, simulator: RunningSimulator, pipeline: Pipeline
) -> None:
    exchange, symbol = simulator.exchange, "BTCUSDT"
    async with daemon_process(environment(redis_server, simulator, {})) as daemon:
        await daemon.ready()
        took_ms: list[float] = []
        for number in range(ROUNDS):
            opening, closing = f"open-{number}", f"close-{number}"
            permit = await pipeline.ask(opening, entry(symbol, "0.003"))
            assert permit["reason"] == "open_permit_granted", permit
            # Nothing is awaited from here on, so that the push leaves the exchange after the plan.
            opened = trade(exchange, symbol, "BUY", "0.003")
            pipeline.publish_result(executed(opening, symbol, opened.order_id, "BUY", "0.003"))
            time.sleep(GAPS_SEC[number % len(GAPS_SEC)])  # noqa: ASYNC251 - see above
            published_sec = trio.current_time()
            pipeline.publish_plan(closing, full_close(symbol))
            while (permit_now := pipeline.permit_now(closing)) is None:
                await trio.sleep(0.0002)
                assert trio.current_time() - published_sec < 1.2
            took_ms.append((trio.current_time() - published_sec) * 1000)
            assert permit_now["reason"] == "sanity_checks_passed", permit_now
            closed = trade(exchange, symbol, "SELL", "0.003")
            pipeline.publish_result(executed(closing, symbol, closed.order_id, "SELL", "0.003"))
            await trio.sleep(0.05)
        assert quantiles(took_ms, n=100)[-1] < 200
