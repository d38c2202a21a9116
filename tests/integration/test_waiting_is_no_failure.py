"""Dependencies that are away or silent for longer than an actor may stall: no actor is restarted."""

from __future__ import annotations

import trio

from commands.clients.embedded_redis import private_redis_server
from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import Pipeline, entry
from tests.integration.surroundings import environment, is_ready, is_unready
from tests.integration.waiting import until
from wiring.groups import STALL_LIMIT_SEC

LONGER_SEC = STALL_LIMIT_SEC + 2.5


async def test_a_redis_and_an_exchange_that_are_silent_for_long_restart_no_actor(
    simulator: RunningSimulator,
) -> None:
    faults = simulator.exchange.faults
    async with private_redis_server() as server:
        pipeline = Pipeline(server.url)
        # From the start: what is not known yet is waited for, too.
        faults.rest_fault_rates = {"hang": 1.0}
        faults.freeze_new_streams = True
        async with daemon_process(environment(server.url, simulator, {})) as daemon:
            url = await daemon.url()
            pipeline.redis.client_pause(round(LONGER_SEC * 1000))
            await is_unready(url, "Redis")
            await trio.sleep(LONGER_SEC)
            faults.clear()
            await is_ready(lambda: url, within_sec=40)

            faults.rest_fault_rates = {"hang": 1.0}
            faults.freeze_new_streams = True
            await simulator.streams.disconnect()
            await server.kill()
            await is_unready(url, "Redis")
            await trio.sleep(LONGER_SEC)
            await server.start()
            faults.clear()
            await is_ready(lambda: url, within_sec=40)
            pipeline.publish_plan("after", entry("BTCUSDT", "0.01"))
            await until(lambda: pipeline.permit_now("after"), "an answer", within_sec=10)
            for word in ("Actor failed", "Actor restarted", "Actor makes no progress", "Traceback"):
                assert word not in daemon.output
