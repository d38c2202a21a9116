"""deploy/redis/roles/decision_intelligence.acl: with it the service counts results, and does no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from store.intelligence_keys import IntelligenceNames
from store.intelligence_records import WindowWrite
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import GuardedRedis, guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights
from tests.store.intelligence_examples import BLOCKED, MINUTE, STATUS, WINDOW

pytestmark = pytest.mark.system_tools

NAMES = IntelligenceNames("quantum")


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path, roles=["decision_intelligence"]) as server:
        yield server


async def test_it_takes_each_of_its_steps_with_the_rights_of_its_role(guarded: GuardedRedis) -> None:
    admin = guarded.admin()
    async with open_redis_store(guarded.url("p33"), prefix="quantum", consumer="first") as store:
        fence = (await store.hold_lease("first", None, 60_000)).fence
        group = store.counted_results
        await group.create(lost=False)
        ids = [admin.xadd(NAMES.results.key, {"plan_id": "p"}) for _ in range(3)]
        entries = await group.read_new(count=2, block_ms=0)
        assert len(entries) == 2
        assert [each.name for each in await group.consumers()] == ["first"]
        await group.take_part(fence)
        # The later one first: its id is remembered until the earlier one is dealt with.
        for entry in reversed(entries):
            result = msgspec.structs.replace(BLOCKED, entry_id=entry.id)
            assert await store.count_results(fence, [result]) == [True]
        (last,) = await group.read_new(count=2, block_ms=0)
        assert (await group.recover(fence=fence, after="0", idle_ms=0, count=9))[0].id == last.id
        await group.dead_letter(fence, last.id, ("error", "x"))
        assert (await store.intelligence_buckets([MINUTE]))[0][b"decision:BLOCKED"] == b"2"
        for window in (WINDOW, WindowWrite("5m", (), (), ())):
            assert await store.write_windows(fence, [window], unknown=[("HOLD", 1)], status=STATUS) == 0
        admin.xgroup_destroy(NAMES.results.key, NAMES.results.group)
        await group.create(lost=True)
        assert len(ids) == 3
    assert refused_by_rights(guarded) == []


@pytest.mark.parametrize(
    "command",
    [
        "XADD quantum:stream:apply.result * plan_id forged", "DEL quantum:stream:apply.result",
        "XADD quantum:stream:apply.plan * plan_id forged", "SET quantum:permit:forged {}",
        "SET quantum:governor:trading_state ACTIVE", "HSET quantum:executor:order:a-plan state final",
        "SET quantum:cfg:universe:active {}", "DEL quantum:kill", "SET quantum:p350 1",
    ],
)  # fmt: skip
def test_it_changes_nothing_that_others_act_on(guarded: GuardedRedis, command: str) -> None:
    with pytest.raises(redis.ResponseError):
        guarded.client("p33").execute_command(*command.split(" "))
