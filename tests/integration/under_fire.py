"""The daemon as a process, under load on a Redis of its own, for tests that take away what it stands on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio

from brain.plans.permit import Reason
from commands.clients.embedded_redis import PrivateRedis, private_redis_server
from simulator import RunningSimulator
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.http_side import body
from tests.integration.pipeline import PLANS, Pipeline
from tests.integration.surroundings import environment, is_ready
from tests.integration.trading_load import SETTINGS, TradingLoad

#: Ready and deciding again so soon after what was away is back; a tenth of it where nothing else runs.
BACK_WITHIN_SEC = 6.0

#: Some positions are open by then, and some permits on their way.
_ALLOWED_BEFORE = 20

_RESTARTS = re.compile(r'^p33_actor_restarts_total\{actor="(\w+)"\} (\S+)$', re.MULTILINE)


class Fire(msgspec.Struct, frozen=True):
    """The parts under fault injection, and their observers."""

    server: PrivateRedis
    pipeline: Pipeline
    simulator: RunningSimulator
    daemon: DaemonProcess
    url: str
    load: TradingLoad

    async def starts_redis(self) -> None:
        """Start Redis again on what it kept, which is all that it has acknowledged."""
        await self.server.start()
        keep_what_is_acknowledged(self.pipeline)

    async def recovers(self) -> None:
        """Wait after a fault until the service is ready and decides, in time, and then allows."""
        began_sec = trio.current_time()
        await is_ready(lambda: self.url, BACK_WITHIN_SEC)
        ready_sec = trio.current_time() - began_sec
        await self.load.more_is_decided(BACK_WITHIN_SEC - ready_sec)
        await self.load.more_is_allowed(1)

    async def burns_out(self) -> None:
        """Let the load end: nothing pends, and no actor and no plan came to harm."""
        await self.load.drained()
        await self.nothing_was_harmed()

    async def nothing_was_harmed(self) -> None:
        """Check that process and actors are those of the start, and that no plan failed."""
        assert self.daemon.alive, self.daemon.errors
        restarted = await restarts(self.url)
        assert not restarted, restarted
        assert "Actor failed" not in self.daemon.output
        blamed = [each for each in self.load.decided if each.reason == Reason.EVALUATION_FAILED]
        assert not blamed, blamed
        dead = self.pipeline.dead_letters(PLANS)
        assert not dead, dead


def keep_what_is_acknowledged(pipeline: Pipeline) -> None:
    """A second of it may be lost otherwise, with the process that had not written it yet."""
    pipeline.redis.config_set("appendfsync", "always")


async def restarts(url: str) -> dict[str, float]:
    """Return the restarts of each actor by the metrics, without those at 0."""
    text = await body(url, "/metrics")
    assert "# TYPE p33_actor_restarts_total counter" in text
    return {actor: float(count) for actor, count in _RESTARTS.findall(text) if float(count)}


@asynccontextmanager
async def under_fire(
    simulator: RunningSimulator,
    seed: int,
    *,
    plans_per_sec: int = 60,
    results_per_sec: int = 30,
    orders_ahead: int = 0,
) -> AsyncIterator[Fire]:
    """Yield a daemon that decides under load, on a Redis that keeps over a kill what it has acknowledged.

    The load is the block's to end: by `burns_out`, or by its own way of looking at what is left. It begins
    when `orders_ahead` orders are booked.
    """
    async with private_redis_server(append_only=True) as server, trio.open_nursery() as nursery:
        pipeline = Pipeline(server.url)
        keep_what_is_acknowledged(pipeline)
        environ = environment(server.url, simulator, SETTINGS)
        async with daemon_process(environ) as daemon:
            url = await daemon.ready()
            load = TradingLoad(
                pipeline,
                simulator,
                seed,
                plans_per_sec=plans_per_sec,
                results_per_sec=results_per_sec,
                redis_goes_away=True,
            )
            await load.trades_ahead(orders_ahead)
            nursery.start_soon(load.run)
            await load.more_is_allowed(_ALLOWED_BEFORE)
            yield Fire(server, pipeline, simulator, daemon, url, load)
