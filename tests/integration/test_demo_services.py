"""The demo's questions to Redis, against a real one."""

from __future__ import annotations

import pytest

from commands.clients.embedded_redis import private_redis
from commands.demo.machine_load import LoadMeter
from commands.demo.other_services import KEYS, OtherServices
from permit_gate.bridge import trio_asyncio
from store.redis.client import RedisLink


@pytest.mark.parametrize(("plans", "twice"), [("abc", []), ("abcb", ["b"])])
async def test_a_plan_with_two_audit_records_was_decided_twice(plans: str, twice: list[str]) -> None:
    async with private_redis() as url, trio_asyncio.open_loop():
        redis = RedisLink(url, timeout_sec=10)
        for plan in plans:
            await redis.command("XADD", KEYS.audit, "*", "plan_id", plan, "symbol", "BTCUSDT")
        assert await OtherServices(redis, LoadMeter()).decided_twice() == twice
        await redis.close()
