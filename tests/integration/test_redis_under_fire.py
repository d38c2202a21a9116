"""Redis killed, cut off, silent, full, demoted or emptied under load: nothing lost, nothing done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from simulator import RunningSimulator
from tests.integration.surroundings import is_unready
from tests.integration.under_fire import Fire, under_fire

#: How long Redis stays away once that was noticed: plans live for longer, the lease does not.
_AWAY_SEC = 1.0
_CUTS = 25
_BETWEEN_CUTS_SEC = 0.08


async def test_redis_killed_twice_and_started_on_its_append_only_file(simulator: RunningSimulator) -> None:
    async with under_fire(simulator, seed=11) as fire:
        for _ in range(2):
            await fire.server.kill()
            await is_unready(fire.url, "Redis")
            await trio.sleep(_AWAY_SEC)
            await fire.starts_redis()
            await fire.recovers()
        await fire.burns_out()
        fire.load.assert_exactly_once()
    assert "recovering" in {decided.reason for decided in fire.load.decided}


async def test_every_connection_cut_again_and_again(simulator: RunningSimulator) -> None:
    async with under_fire(simulator, seed=12) as fire:
        cut = 0
        for _ in range(_CUTS):
            cut += fire.pipeline.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await trio.sleep(_BETWEEN_CUTS_SEC)
        assert cut > _CUTS, "most of them hit the daemon, which has three connections"
        await fire.recovers()
        await fire.burns_out()
        fire.load.assert_exactly_once()


async def paused(fire: Fire) -> None:
    """Connections stay open, and nothing is answered for longer than the lease lives."""
    await trio.to_thread.run_sync(fire.pipeline.redis.client_pause, 2_500)


async def full(fire: Fire) -> None:
    fire.pipeline.redis.config_set("maxmemory", "1mb")
    fire.pipeline.redis.config_set("maxmemory-policy", "noeviction")


async def unlimited(fire: Fire) -> None:
    fire.pipeline.redis.config_set("maxmemory", "0")


async def demoted(fire: Fire) -> None:
    """Make it a replica of no server: it answers reads and refuses writes."""
    fire.pipeline.redis.replicaof("127.0.0.1", "1")


async def promoted(fire: Fire) -> None:
    fire.pipeline.redis.replicaof("NO", "ONE")


async def over_by_itself(_: Fire) -> None:
    """Wait: a pause ends with its time."""


Act = Callable[[Fire], Awaitable[None]]


@pytest.mark.parametrize(
    ("strike", "named", "repair"),
    [
        (paused, "no answer", over_by_itself),
        (full, "maxmemory", unlimited),
        (demoted, "read only", promoted),
    ],
    ids=["paused", "full", "a replica"],
)
async def test_a_redis_that_is_there_and_does_not_serve(
    simulator: RunningSimulator, strike: Act, named: str, repair: Act
) -> None:
    async with under_fire(simulator, seed=13) as fire:
        for _ in range(2):
            await strike(fire)
            await is_unready(fire.url, "Redis", named)
            await trio.sleep(_AWAY_SEC)
            await repair(fire)
            await fire.recovers()
        await fire.burns_out()
        fire.load.assert_exactly_once()


async def test_redis_emptied_twice(simulator: RunningSimulator) -> None:
    """The ledgers are adopted anew; a fill reported again, or for the first time, counts once at most."""
    async with under_fire(simulator, seed=14) as fire:
        for _ in range(2):
            await fire.load.loses_everything()
            await fire.recovers()
            await trio.sleep(_AWAY_SEC)
        await fire.burns_out()
        assert "recovering" in {decided.reason for decided in fire.load.decided}
        fire.load.assert_decided_once()
        fire.load.assert_ledgers_follow_positions()
