"""Faults injected at intervals: each lasts about 1 s, and keeps what was acknowledged."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import trio

from tests.integration.under_fire import Fire

_LASTS_SEC = 1.0
_CUTS = 8


async def redis_killed(fire: Fire) -> None:
    await fire.server.kill()
    await trio.sleep(_LASTS_SEC)
    await fire.starts_redis()


async def redis_connections_cut(fire: Fire) -> None:
    for _ in range(_CUTS):
        fire.pipeline.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await trio.sleep(_LASTS_SEC / _CUTS)


async def redis_paused(fire: Fire) -> None:
    fire.pipeline.redis.client_pause(round(_LASTS_SEC * 1000), all=False)
    await trio.sleep(_LASTS_SEC)


async def redis_full(fire: Fire) -> None:
    fire.pipeline.redis.config_set("maxmemory", "1mb")
    await trio.sleep(_LASTS_SEC)
    fire.pipeline.redis.config_set("maxmemory", "0")


async def redis_demoted(fire: Fire) -> None:
    fire.pipeline.redis.replicaof("127.0.0.1", "1")
    await trio.sleep(_LASTS_SEC)
    fire.pipeline.redis.replicaof("NO", "ONE")


async def daemon_stopped(fire: Fire) -> None:
    fire.daemon.process.send_signal(signal.SIGSTOP)
    await trio.sleep(_LASTS_SEC * 3)
    fire.daemon.process.send_signal(signal.SIGCONT)


async def streams_reset(fire: Fire) -> None:
    await fire.simulator.streams.reset()


async def streams_frozen(fire: Fire) -> None:
    fire.simulator.streams.freeze()
    await trio.sleep(_LASTS_SEC * 4)
    fire.simulator.streams.thaw()


async def exchange_failing(fire: Fire) -> None:
    """Streams gone, and every read answered with a 5xx, a reset or half of it."""
    faults = fire.simulator.exchange.faults
    faults.rest_fault_rates = {"5xx": 0.4, "reset": 0.3, "truncated": 0.3}
    await fire.simulator.streams.disconnect()
    await trio.sleep(_LASTS_SEC * 2)
    faults.rest_fault_rates = {}


FAULTS: tuple[Callable[[Fire], Awaitable[None]], ...] = (
    redis_connections_cut, streams_reset, redis_paused, daemon_stopped, redis_full, exchange_failing,
    redis_killed, streams_frozen, redis_demoted,
)  # fmt: skip
