"""Only who has the HTTP port may hold the lease: two processes of one instance would take it in turns."""

from __future__ import annotations

import socket
from contextlib import closing

from simulator import RunningSimulator
from tests.integration.pipeline import Pipeline, entry
from tests.integration.service_in_process import running_service
from tests.integration.surroundings import is_ready
from tests.integration.waiting import until

LEASE = "quantum:p33:lease"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


async def test_who_loses_the_port_gives_up_the_lease_and_takes_both_back_together(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    port = free_port()
    async with running_service(redis_server, simulator, P33_METRICS_PORT=str(port)) as service:
        first = pipeline.redis.get(LEASE)
        assert first is not None
        service.strike("metrics")
        await until(lambda: service.actor("metrics").state == "backing_off", "the port is free")
        with closing(socket.create_server(("127.0.0.1", port))):
            await until(lambda: pipeline.redis.get(LEASE) is None, "the lease is given up", within_sec=15)
            assert service.actor("lease_holder").restarts > 0
            failed = service.actor("metrics").last_reason
            assert failed is not None and "P33_METRICS_PORT" in failed
            pipeline.publish_plan("during", entry("BTCUSDT", "0.01"))
            # The others wait for the lease, which is no failure of theirs.
            assert service.restarts().keys() == {"metrics", "lease_holder"}
        await is_ready(lambda: service.url, within_sec=20)
        assert pipeline.redis.get(LEASE) not in (None, first)
        await pipeline.decided_once(["during"])


async def test_a_failure_of_metrics_that_passes_does_not_cost_the_lease(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    async with running_service(redis_server, simulator) as service:
        lease = pipeline.redis.get(LEASE)
        for number in range(1, 6):
            service.strike("metrics")
            await until(lambda n=number: service.actor("lease_holder").restarts == n, "both are back")  # type: ignore[misc]
            await until(lambda: service.actor("lease_holder").state == "running", "it holds the lease")
            await until(lambda: service.actor("metrics").state == "running", "it listens")
        await is_ready(lambda: service.url)
        assert pipeline.redis.get(LEASE) == lease
