"""Faults of a Redis that is there and does not serve: full disk, stop, long script, no free connection."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import redis
import trio

from tests.integration.pipeline import Pipeline
from tests.integration.rigs import Rig, RunsRedis
from tests.integration.waiting import until
from tests.store.redis_servers import running

#: More than the connections of a daemon.
_HOLDERS = 60
_BUSY_FOR_SEC = 5.0
_BUSY_SCRIPT = """
local function now() local t = redis.call('TIME') return t[1] + t[2] / 1e6 end
local until_sec = now() + ARGV[1]
repeat until now() >= until_sec
"""


def appending(program: Path) -> RunsRedis:
    """Return what runs a Redis with an append-only file, which lives on when the file cannot be written."""

    @asynccontextmanager
    async def run() -> AsyncIterator[str]:
        with running(program, append_only=True) as server:
            Pipeline(server.url).redis.config_set("appendfsync", "everysec")
            yield server.url

    return run


@asynccontextmanager
async def redis_stopped(rig: Rig) -> AsyncIterator[None]:
    process = _process(rig)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@asynccontextmanager
async def append_only_file_full(rig: Rig) -> AsyncIterator[None]:
    with _no_room_on_disk(_process(rig)):
        yield


@asynccontextmanager
async def dump_failed(rig: Rig) -> AsyncIterator[None]:
    """Let Redis keep dumps instead of an append-only file, and be unable to."""
    rig.pipeline.redis.config_set("appendonly", "no")
    rig.pipeline.redis.config_set("save", "3600 1000000")
    with _no_room_on_disk(_process(rig)):
        await _dump(rig, "err")
        yield
    await _dump(rig, "ok")


@asynccontextmanager
async def long_script(rig: Rig) -> AsyncIterator[None]:
    """Run a script that ends by itself after this block at the latest."""
    rig.pipeline.redis.config_set("lua-time-limit", 100)
    with redis.Redis.from_url(rig.redis_url, socket_timeout=30) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, client.eval, _BUSY_SCRIPT, 0, _BUSY_FOR_SEC)
            yield


@asynccontextmanager
async def no_free_connection(rig: Rig) -> AsyncIterator[None]:
    """Hold all connections that Redis takes, and end those of everyone else."""
    with ExitStack() as held:
        for _ in range(_HOLDERS):
            holder = held.enter_context(redis.Redis.from_url(rig.redis_url))
            held.enter_context(holder.pubsub()).subscribe("elsewhere")
        # Ended as well, and refused; it comes back with the others.
        admin: Any = rig.pipeline.redis
        admin.config_set("maxclients", _HOLDERS)
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        yield


def _process(rig: Rig) -> int:
    return int(rig.pipeline.redis.info("server")["process_id"])


@contextmanager
def _no_room_on_disk(process: int) -> Iterator[None]:
    """Let no file of the process and of those that it starts grow."""
    usual = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, usual)


async def _dump(rig: Rig, outcome: str) -> None:
    rig.pipeline.redis.bgsave()

    def ended() -> bool:
        state = rig.pipeline.redis.info("persistence")
        return not state["rdb_bgsave_in_progress"] and state["rdb_last_bgsave_status"] == outcome

    await until(ended, f"the dump ends with {outcome}")
