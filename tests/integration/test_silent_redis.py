"""A Redis that keeps its connections and says nothing any more."""

from __future__ import annotations

import trio

from simulator import RunningSimulator
from tests.integration.service_in_process import running_service
from tests.integration.surroundings import is_ready, is_unready, readiness
from tests.store.redis_servers import known_servers, running


async def test_while_redis_is_silent_readiness_never_says_that_plans_can_be_decided(
    simulator: RunningSimulator,
) -> None:
    program = next(iter(known_servers().values()))
    with running(program) as server:
        async with running_service(server.url, simulator) as service:
            server.freeze()
            try:
                await is_unready(service.url, "Redis", within_sec=10)
                shown = []
                with trio.move_on_after(3):
                    while True:
                        shown.append((await readiness(service.url))[1])
            finally:
                server.thaw()
            assert [each.reasons for each in shown if each.ready] == []
            assert all(any("waiting for Redis" in reason for reason in each.reasons) for each in shown)
            await is_ready(lambda: service.url)
