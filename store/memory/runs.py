"""The twin of `store.redis.runs`."""

from __future__ import annotations

from store.errors import StoreUnavailableError
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.records import RedisRun
from store.stored_values import read_evictions, read_run


def compare_run(redis: MemoryRedis, keys: Keys, known_run_id: str | None) -> RedisRun:
    """As `PlanStore.redis_run`."""
    keyspace, run_id, now_ms = redis.keyspace, redis.run_id, redis.now_ms()
    stored_run, stored_evictions = keyspace.text(keys.redis_run), keyspace.text(keys.evictions)
    evicted_ms, remember_evictions = read_evictions(
        stored_evictions,
        run_id=run_id,
        evicted_keys=redis.evicted_keys,
        policy=redis.maxmemory_policy,
        now_ms=now_ms,
    )
    run, remember_run = read_run(
        stored_run, known_run_id, run_id=run_id, now_ms=now_ms, evicted_ms=evicted_ms
    )
    if remember_run is not None:
        keyspace.set(keys.redis_run, remember_run)
    if remember_evictions is not None:
        keyspace.set(keys.evictions, remember_evictions)
    return run


class ComparedRun:
    """The comparison of Redis's run that one role's commits rest on."""

    def __init__(self, redis: MemoryRedis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._run_id: str | None = None

    def compare(self, known_run_id: str | None) -> RedisRun:
        """As `PlanStore.redis_run`."""
        self._run_id = self._redis.run_id
        return compare_run(self._redis, self._keys, known_run_id)

    def check(self) -> None:
        """Raise StoreUnavailableError where the run is another by now."""
        if self._run_id not in (None, self._redis.run_id):
            raise StoreUnavailableError("connections to Redis were lost since its run was compared")
