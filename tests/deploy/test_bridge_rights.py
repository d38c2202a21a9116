"""deploy/redis/roles/intent_bridge.acl: with it the service makes plans of intents, and does no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from brain.intents.intent import Lane
from store.bridge_records import BridgeBasis
from store.bridge_values import entry_mark
from store.keys import BridgeNames
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import GuardedRedis, guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights
from tests.store.bridged import SYMBOL, planned

pytestmark = pytest.mark.system_tools


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path, roles=["intent_bridge"]) as server:
        yield server


@pytest.mark.parametrize("shadow", [False, True])
async def test_it_takes_each_of_its_steps_with_the_rights_of_its_role(
    guarded: GuardedRedis, shadow: bool
) -> None:
    admin, names = guarded.admin(), BridgeNames("quantum", shadow=shadow)
    url = guarded.url("p33")
    async with open_redis_store(url, prefix="quantum", consumer="first", bridge_shadow=shadow) as store:
        fence = (await store.hold_lease("first", None, 60_000)).fence
        for lane, group in zip(
            Lane, (store.trade_intents, store.exit_intents, store.harvest_intents), strict=True
        ):
            await group.create(lost=False)
            for _ in range(2):
                admin.xadd(group.stream, {"symbol": SYMBOL})
            first, second = await group.read_new(count=9, block_ms=0)
            assert [each.name for each in await group.consumers()] == ["first"]
            await group.take_part(fence)
            state = await store.bridge_state([SYMBOL], with_equity=True)
            basis = BridgeBasis(state.mode, state.last_closes[SYMBOL])
            answer = planned(
                first.id, mark=entry_mark(lane, first.id), plan_mark=f"plan-{lane}", basis=basis, closed_ms=5,
                close_ttl_ms=900_000, dead_fields=("error", "x"),
            )  # fmt: skip
            reply = await store.answer_intents(fence, lane, [answer])
            assert reply.verdicts == ("committed",)
            (left,) = await group.recover(fence=fence, after="0", idle_ms=0, count=9)
            assert left.id == second.id
            await group.dead_letter(fence, second.id, ("error", "x"))
            admin.xgroup_destroy(group.stream, group.group)
            await group.create(lost=True)
    assert refused_by_rights(guarded) == []
    assert admin.xlen(names.audit) == 3
    assert admin.xlen("quantum:stream:apply.plan") == (0 if shadow else 3)


@pytest.mark.parametrize(
    "command",
    [
        "SET quantum:permit:forged {}", "SET quantum:system:mode NORMAL",
        "HSET quantum:governor:equity equity 1", "HSET quantum:state:portfolio equity_usd 1",
        "DEL quantum:stream:apply.plan", "DEL quantum:intent_bridge:seen:1-0",
        "XADD quantum:stream:trade.intent * symbol BTCUSDT", "XADD quantum:stream:apply.result * plan_id p",
        "SET quantum:reconcile:hold:BTCUSDT 1", "SET quantum:kill 0",
    ],
)  # fmt: skip
def test_it_changes_nothing_that_others_act_on(guarded: GuardedRedis, command: str) -> None:
    with pytest.raises(redis.ResponseError):
        guarded.client("p33").execute_command(*command.split(" "))
