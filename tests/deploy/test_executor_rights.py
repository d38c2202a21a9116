"""deploy/redis/roles/executor.acl: with it the service's user can take each step of the executor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from brain.execution.record import OrderPhase
from brain.identifiers import ClientOrderId, PlanId
from store.execution_records import OrderProgress
from store.keys import ExecutorKeys, Keys
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import GuardedRedis, guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights
from tests.store.executions import (
    BEGIN,
    CLIENT,
    ENTRY,
    EVENT,
    HOLD,
    ORPHAN,
    PLAN,
    RESULT,
    SYMBOL,
    record,
    refusal,
)

pytestmark = pytest.mark.system_tools


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path, roles=["executor"]) as server:
        yield server


async def test_the_executor_takes_each_of_its_steps_with_the_rights_of_its_role(
    guarded: GuardedRedis,
) -> None:
    keys = Keys("quantum")
    executor = ExecutorKeys(keys)
    async with open_redis_store(guarded.url("p33"), prefix="quantum", consumer="first") as store:
        fence = (await store.hold_lease("first", None, 60_000)).fence
        for group in (store.executions, store.dry_runs, store.manual_plans):
            await group.create(lost=True)
            assert await group.consumers() == []
            await group.read_new(count=1, block_ms=0)
            await group.recover(fence=fence, after="0", idle_ms=0, count=1)
            await group.dead_letter(fence, ENTRY, ("error", "evaluation_failed"))
        await store.executions.take_part(fence)
        await store.execution_run(None)
        assert not await store.manual_lane_open()
        permits = ((f"quantum:permit:{PLAN}", b"{}", None), (keys.permit(PLAN), b"{}", None))
        async with store.permit_changes() as changes:
            for key, text, _ in permits:
                guarded.admin().set(key, text)
            assert PLAN in await changes.next()
        seen = await store.look_at_permits(PLAN, SYMBOL, [key for key, _, _ in permits])
        assert seen.permits == (b"{}", b"{}")
        first = record(stream=executor.plans.key)
        begin = msgspec.structs.replace(BEGIN, record=first, permits=permits, ignores_hold=False)
        assert (await store.begin_order(fence, begin)).verdict == "begun"
        assert (await store.open_orders()).records == [first]
        hold = msgspec.structs.replace(HOLD, symbol=SYMBOL)
        guarded.admin().hset(keys.open_permits(SYMBOL), f"p:{PLAN}", "BOTH|open|BUY|0.5|1760000000000")
        assert await store.hold_symbol(fence, hold)
        assert await store.release_hold(fence, SYMBOL, CLIENT)
        ended = msgspec.structs.replace(first, phase=OrderPhase.FINAL, version=2)
        progress = OrderProgress(record=ended, result=RESULT, cooldown_ms=1, audit=("step", "finish"))
        assert await store.record_progress(fence, progress)
        assert await store.refuse_plan(
            fence, refusal(plan_id=PlanId("another"), stream=executor.manual_plans.key)
        )
        assert await store.record_orphan(fence, first, EVENT, hold) == "known"
        other = PlanId("p33-0")
        orphan = msgspec.structs.replace(ORPHAN, plan_id=other, client_order_id=ClientOrderId(other))
        assert await store.record_orphan(fence, orphan, EVENT, hold) == "recorded"
        await store.append_audit(fence, ("step", "query"))
        await store.publish_dry_run(fence, store.dry_runs.stream, ENTRY, ("plan_id", PLAN))
        await store.write_counts(fence, {"processed": 1})
    assert refused_by_rights(guarded) == []
