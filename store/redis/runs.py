"""Comparison of Redis's run with the one that is stored there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store.errors import StoreError
from store.keys import Keys
from store.records import RedisRun
from store.redis.client import Command, RedisLink, naming
from store.redis.replies import read_time
from store.stored_values import read_evictions, read_run


async def compare_run(link: RedisLink, keys: Keys, known_run_id: str | None) -> RedisRun:
    """As `PlanStore.redis_run`."""
    stored_keys = (keys.redis_run, keys.evictions)
    names = ("INFO server", "INFO stats", "INFO memory", "TIME", *stored_keys)
    commands: list[Command] = [("INFO", section) for section in ("server", "stats", "memory")]
    commands += [("TIME",), *(("GET", key) for key in stored_keys)]
    answers = unrefused(names, await link.pipeline(commands))
    server, stats, memory, time, stored_run, stored_evictions = answers
    run_id, now_ms = str(server["run_id"]), read_time(time)
    evicted_ms, remember_evictions = read_evictions(
        stored_evictions,
        run_id=run_id,
        evicted_keys=int(stats["evicted_keys"]),
        policy=str(memory["maxmemory_policy"]),
        now_ms=now_ms,
    )
    run, remember_run = read_run(
        stored_run, known_run_id, run_id=run_id, now_ms=now_ms, evicted_ms=evicted_ms
    )
    for key, text in zip(stored_keys, (remember_run, remember_evictions), strict=True):
        if text is not None:
            await link.command("SET", key, text)
    return run


class ComparedRun:
    """The comparison of Redis's run that one role's commits rest on."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        #: Losses of connections at the last comparison, None before it: with more the run may be another.
        self.losses: int | None = None

    async def compare(self, known_run_id: str | None) -> RedisRun:
        """As `PlanStore.redis_run`."""
        losses = self._link.losses
        run = await compare_run(self._link, self._keys, known_run_id)
        self.losses = losses
        return run


def unrefused(names: Sequence[str], answers: list[Any]) -> list[Any]:
    """Return the replies. Raises the first error among them, with the name of its key."""
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, StoreError):
            with naming(name):
                raise answer
    return answers
