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
from commands.demo.keys import BRIDGE, EXECUTOR, KEYS
from commands.demo.machine_load import LoadMeter
from commands.demo.other_services import OtherServices
from commands.demo.outcome import allowed
from commands.demo.record import Record, Step
from commands.demo.scenarios import PlanToPublish
from commands.demo.service_executor import ServiceExecutor
from commands.demo.tally import Tally
from commands.demo.watcher import Watcher
from permit_gate.bridge import trio_asyncio
from store.redis.client import RedisLink
from tests.integration.waiting import until

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
        self.services = OtherServices(redis, LoadMeter())
        self.record = Record()
        self.watcher = Watcher(reads, self.record, LoadMeter())
        self.executor = ServiceExecutor(self.watcher, self.services, self.tally)

    async def add(self, stream: str, fields: dict[str, str]) -> str:
        texts = (text for pair in fields.items() for text in pair)
        entry_id = await self.redis.command("XADD", stream, "*", *texts)
        return str(entry_id.decode())

    async def execute(self, **changes: str) -> None:
        await self.add(KEYS.audit, {"plan_id": "p1"})
        begin = {"step": "begin", "plan_id": "p1", "permit:P3.3": json.dumps(PERMIT)}
        await self.add(EXECUTOR.audit, begin)
        await self.add(KEYS.results, RESULT | changes)

    async def follow(self) -> Fill | None:
        return await self.executor.follow(PLAN, "BTCUSDT", "open", trio.current_time())


@asynccontextmanager
async def streams() -> AsyncIterator[Streams]:
    async with private_redis() as url, trio_asyncio.open_loop():
        redis, reads = RedisLink(url, timeout_sec=10), RedisLink(url, timeout_sec=10)
        made = Streams(redis, reads)
        async with made.watcher.running():
            yield made
        await redis.close()
        await reads.close()


async def test_a_plan_is_followed_through_the_permit_that_was_consumed_to_its_result() -> None:
    async with streams() as made:
        await made.execute()
        fill = await made.follow()
        assert fill is not None and fill.change == Decimal("-0.5")
        assert fill.begun_sec <= trio.current_time()
        assert (made.tally.orders, made.record.results, made.tally.surprises) == (1, 1, 0)
        assert made.tally.kinds == {"open": 1}
        plan = made.record.plans["p1"]
        assert (plan.end, plan.order, plan.decisions) == ("executed", "p33-1", 1)
        assert len(made.record.step_ms[Step.ORDERS]) == 1


async def test_a_plan_that_gets_no_result_has_no_end_and_one_that_gets_it_late_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_executor, "_RESULT_WITHIN_SEC", 0.0)
    async with streams() as made, trio.open_nursery() as nursery:
        nursery.start_soon(made.follow)
        await until(lambda: made.tally.surprises, "it is late")
        assert made.record.plans["p1"].end == ""
        await made.execute()
        await until(lambda: made.tally.orders, "the order counts")
        assert made.record.plans["p1"].end == "executed"
    assert made.tally.first_surprises == ["BTCUSDT: open: not in time: a result of plan p1"]


async def test_an_intent_and_its_plan_are_seen_together() -> None:
    async with streams() as made:
        entry_id = await made.add(KEYS.intents, {"symbol": "BTCUSDT"})
        seen = made.record.intent(f"trade.intent/{entry_id}")
        answer = {
            "entry_id": entry_id,
            "stream": "trade.intent",
            "outcome": "plan",
            "plan_id": "p1",
            "reason": "",
        }
        await made.add(BRIDGE.audit, answer)
        await made.add(KEYS.plans, PLAN.fields)
        await made.watcher.until("p1", lambda: made.record.plan("p1").plan or None, "the plan", 5)
        assert seen.outcomes == ["p1"]
        assert len(made.record.step_ms[Step.PLANS]) == 1


async def test_a_result_that_is_lost_on_purpose_is_read_by_all_but_one() -> None:
    async with streams() as made, trio.open_nursery() as nursery:
        for group in ("p33", "governor_result_monitor"):
            await made.redis.command("XGROUP", "CREATE", KEYS.results, group, "0", "MKSTREAM")

        async def read(group: str) -> list[str]:
            asked = ("XREADGROUP", "GROUP", group, "me", "STREAMS", KEYS.results, ">")
            answer = await made.redis.command(*asked)
            return [entry_id.decode() for entry_id, _ in answer[KEYS.results.encode()]] if answer else []

        ids: list[str] = []

        async def lose() -> None:
            lost: list[str] = []
            async with made.services.lost_results.losing(lost):
                ids.append(await made.add(KEYS.results, RESULT))
                ids.append(await made.add(KEYS.results, RESULT | {"plan_id": "p2"}))
                assert not await read("p33")
                lost.append(ids[0])
            ids.append("lost")

        nursery.start_soon(lose)
        await until(lambda: len(ids) >= 2, "both results")
        assert await read("governor_result_monitor") == ids[:2]
        # Delivered, but not acknowledged yet.
        assert await made.services.lost_results.unread_by_others(ids[0]) == ["governor_result_monitor"]
        await made.redis.command("XACK", KEYS.results, "governor_result_monitor", *ids)
        await until(lambda: len(ids) == 3, "the loss")
        assert await read("p33") == ids[1:2]
