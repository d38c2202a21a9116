"""The demo's questions to Redis, against a real one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio

from commands.clients.embedded_redis import private_redis
from commands.demo import service_executor
from commands.demo.executors import Fill
from commands.demo.machine_load import LoadMeter
from commands.demo.other_services import KEYS, OtherServices
from commands.demo.outcome import allowed
from commands.demo.scenarios import PlanToPublish
from commands.demo.service_executor import ServiceExecutor
from commands.demo.tally import Tally
from permit_gate.bridge import trio_asyncio
from store.keys import ExecutorKeys
from store.redis.client import RedisLink
from tests.integration.waiting import until


@pytest.mark.parametrize(("plans", "twice"), [("abc", []), ("abcb", ["b"])])
async def test_a_plan_with_two_audit_records_was_decided_twice(plans: str, twice: list[str]) -> None:
    async with private_redis() as url, trio_asyncio.open_loop():
        redis = RedisLink(url, timeout_sec=10)
        for plan in plans:
            await redis.command("XADD", KEYS.audit, "*", "plan_id", plan, "symbol", "BTCUSDT")
        assert await OtherServices(redis, LoadMeter()).decided_twice() == twice
        await redis.close()


PLAN = PlanToPublish(
    {"plan_id": "p1", "symbol": "BTCUSDT", "decision": "EXECUTE"}, allowed("open_permit_granted", Decimal(0))
)
PERMIT = {
    "plan_id": "p1", "symbol": "BTCUSDT", "allow": True, "reason": "open_permit_granted", "kind": "open",
    "safe_close_qty": 0, "created_at": 1, "order_side": "SELL", "leg": "BOTH",
}  # fmt: skip
RESULT = {
    "plan_id": "p1", "executed": "true", "error": "", "order_status": "FILLED", "filled_qty": "0.5",
    "side": "SELL", "client_order_id": "p33-1",
}  # fmt: skip


class Streams:
    """The daemon's streams, as a test writes them."""

    def __init__(self, redis: RedisLink, reads: RedisLink) -> None:
        self.redis = redis
        self.tally = Tally()
        services = OtherServices(redis, LoadMeter())
        self.executor = ServiceExecutor(reads, services, self.tally, LoadMeter())

    async def add(self, stream: str, fields: dict[str, str]) -> None:
        await self.redis.command("XADD", stream, "*", *(text for pair in fields.items() for text in pair))

    async def execute(self, **changes: str) -> None:
        await self.add(KEYS.audit, {"plan_id": "p1"})
        begin = {"step": "begin", "plan_id": "p1", "permit:P3.3": json.dumps(PERMIT)}
        await self.add(ExecutorKeys(KEYS).audit, begin)
        await self.add(KEYS.results, RESULT | changes)

    async def follow(self) -> Fill | None:
        return await self.executor.follow(PLAN, "BTCUSDT", "open", trio.current_time())


@asynccontextmanager
async def streams() -> AsyncIterator[Streams]:
    async with private_redis() as url, trio_asyncio.open_loop():
        redis, reads = RedisLink(url, timeout_sec=10), RedisLink(url, timeout_sec=10)
        made = Streams(redis, reads)
        async with made.executor.running():
            yield made
        await redis.close()
        await reads.close()


async def test_a_plan_is_followed_through_the_permit_that_was_consumed_to_its_result() -> None:
    async with streams() as made:
        await made.execute()
        fill = await made.follow()
        assert fill is not None and fill.change == Decimal("-0.5")
        assert fill.begun_sec <= trio.current_time()
        assert (made.tally.orders, made.tally.results, made.tally.surprises) == (1, 1, 0)
        assert made.tally.kinds == {"open": 1}
        assert made.executor.differences(["p33-1"], all_of_them=True) == []


async def test_an_order_without_a_result_and_a_result_without_an_order_are_differences() -> None:
    async with streams() as made:
        await made.execute()
        await made.follow()
        assert made.executor.differences(["p33-2"], all_of_them=True) == [
            "order p33-2 has no result",
            "a result names order p33-1, which there is not",
        ]
        assert made.executor.differences([], all_of_them=False) == []


async def test_a_plan_that_gets_no_result_is_a_difference_and_one_that_gets_it_late_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_executor, "_RESULT_WITHIN_SEC", 0.0)
    monkeypatch.setattr(service_executor, "_LOOK_SEC", 0.01)
    async with streams() as made, trio.open_nursery() as nursery:
        nursery.start_soon(made.follow)
        await until(lambda: made.tally.surprises, "it is late")
        assert made.executor.differences([], all_of_them=True) == ["plan p1 has no result"]
        await made.execute()
        await until(lambda: made.tally.orders, "the order counts")
        assert made.executor.differences(["p33-1"], all_of_them=True) == []
    assert made.tally.first_surprises == ["BTCUSDT: open: not in time: a result of plan p1"]
