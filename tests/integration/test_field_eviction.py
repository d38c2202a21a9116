"""A Redis that evicts keys under pressure: no position is closed twice, opens wait, and it is shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import trio

from simulator import external_events
from tests.integration.pipeline import Pipeline, entry, full_close
from tests.integration.rigs import Rig, running_rig
from tests.integration.surroundings import SYMBOLS, small_exchange
from tests.integration.waiting import until_async

HELD = SYMBOLS[:6]
AMOUNT = Decimal(20)
_JUNK = "x" * 50_000
_ROOM = 1_000_000


class Pressure:
    """Keys of another service on the same Redis, more of them than it may hold."""

    def __init__(self, pipeline: Pipeline, policy: str) -> None:
        self._redis: Any = pipeline.redis
        self._written = 0
        self._redis.config_set("maxmemory-policy", policy)

    def limit(self) -> None:
        """Leave room for 1 MB more."""
        self._redis.config_set("maxmemory", int(self._redis.info("memory")["used_memory"]) + _ROOM)

    def release(self) -> None:
        """Let Redis hold whatever comes."""
        self._redis.config_set("maxmemory", 0)

    async def evicts(self, key: str) -> None:
        """Write until `key` is gone."""
        with trio.fail_after(20):
            while self._redis.exists(key):
                self._written += 1
                self._redis.set(f"elsewhere:{self._written}", _JUNK, ex=3600)
                await trio.sleep(0.001)


async def allowed(rig: Rig, plan_id: str) -> Decimal:
    """Consume a plan's permit as executors do; return the quantity that it allows."""
    permit = await rig.pipeline.permit(plan_id, within_sec=10)
    rig.pipeline.redis.delete(f"quantum:permit:p33:{plan_id}")
    if permit["allow"]:
        return Decimal(permit["safe_close_qty"])
    assert permit["reason"] in ("in_flight_permit", "recovering"), permit
    return Decimal(0)


async def says(rig: Rig, metric: str, value: float) -> None:
    async def look() -> bool:
        await trio.sleep(0.05)
        return f"\n{metric} {value}" in await rig.get("/metrics")

    await until_async(look, f"{metric} {value}", within_sec=5)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-lru"])
async def test_no_position_is_closed_twice_while_redis_evicts_reservations(policy: str) -> None:
    exchange = small_exchange()
    for symbol in HELD:
        external_events.move_position(exchange, symbol, target=AMOUNT)
    async with running_rig({}, exchange) as rig:
        pressure = Pressure(rig.pipeline, policy)
        for symbol in HELD:
            rig.pipeline.publish_plan(f"first-{symbol}", full_close(symbol))
        for symbol in HELD:
            assert await allowed(rig, f"first-{symbol}") == AMOUNT
        for symbol in HELD:
            pressure.limit()
            await pressure.evicts(f"quantum:p33:open:{symbol}")
            pressure.release()
            rig.pipeline.publish_plan(f"second-{symbol}", full_close(symbol))
            rig.pipeline.publish_plan(f"first-{symbol}", full_close(symbol))
            assert await allowed(rig, f"second-{symbol}") == 0
        await trio.sleep(1.5)
        for symbol in HELD:
            again = rig.pipeline.permit_now(f"first-{symbol}")
            assert again is None or not again["allow"], again
        rig.pipeline.publish_plan("open", entry(SYMBOLS[-1], "20"))
        assert (await rig.pipeline.permit("open", within_sec=10))["reason"] == "recovering"
        await says(rig, "p33_redis_may_evict", 1.0)
        evicted = float(rig.pipeline.redis.info("stats")["evicted_keys"])
        await says(rig, "p33_redis_evicted_keys", evicted)
        eviction = (await rig.status())["eviction"]
        assert eviction == {"policy": policy, "may_evict": True, "evicted_keys": evicted}
        assert f"maxmemory-policy {policy}" in await rig.get("/")
        assert "Redis may evict keys of this service" in rig.daemon.output
        assert "Redis has evicted keys" in rig.daemon.output
        await rig.assert_nothing_restarted()
