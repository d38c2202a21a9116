"""The twin of `store.redis.runs`."""

from __future__ import annotations

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
