"""deploy/redis/roles/governor.*: with them the service's user can take each step of the Governor, and the
operator's user can change the trading state and holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from brain.identifiers import EntryId, PlanId
from store.governor_records import GovernorReply
from store.keys import GovernorKeys, Keys
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import GuardedRedis, guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights
from tests.store.governed import DISARM, PLAN, SYMBOL, ended, free, granted

pytestmark = pytest.mark.system_tools

_EVENT = ("event", "TRADING_STATE", "reason", "drill")


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path, roles=["governor"]) as server:
        yield server


@pytest.mark.parametrize("shadow", [False, True])
async def test_the_governor_takes_each_of_its_steps_with_the_rights_of_its_role(
    guarded: GuardedRedis, shadow: bool
) -> None:
    keys = GovernorKeys(Keys("quantum"), shadow=shadow)
    url = guarded.url("p33")
    async with open_redis_store(url, prefix="quantum", consumer="first", governor_shadow=shadow) as store:
        fence = (await store.hold_lease("first", None, 60_000)).fence
        for group in (store.judged_plans, store.settled_results):
            await group.create(lost=True)
            assert await group.consumers() == []
            await group.read_new(count=1, block_ms=0)
            await group.recover(fence=fence, after="0", idle_ms=0, count=1)
            await group.dead_letter(fence, EntryId("1-0"), ("error", "evaluation_failed"))
            await group.acknowledge(fence, [EntryId("1-0")])
            await group.take_part(fence)
        await store.governor_run(None)
        guarded.admin().set(keys.kill_stats(SYMBOL), "of a wrong type")
        state = await store.governor_state([SYMBOL])
        grant = granted(state, stats=("exit", "1", "0.5", "0", "1", ""), disarm=DISARM, block="{}")
        written: GovernorReply = await store.judge_plans(fence, [grant, free(PlanId("gov-2"))])
        assert written.verdicts == ("committed", "committed")
        state = await store.governor_state([SYMBOL])
        change = ended(
            reservation=state.account.reserved[PLAN].decode(), entry_id=EntryId("1-0"), date="2025-10-09",
            opened="0", reduced="0", last_exec_sec="", only_if_unconsumed=True, events=(_EVENT,),
            audit=("plan_id", PLAN),
        )  # fmt: skip
        assert await store.change_grants(fence, (state.account.version, "v2"), [change]) == (True,)
        await store.write_equity(fence, {"equity": "1"})
        assert (await store.stored_equity()).equity == b"1"
    assert refused_by_rights(guarded) == []


@pytest.mark.parametrize(
    "command",
    [
        "SET quantum:kill 0", "DEL quantum:lockdown", "HSET quantum:portfolio:budget:BTCUSDT mode off",
        "DEL quantum:risk:guard_active:DRAWDOWN", "SET quantum:reconcile:hold:BTCUSDT 1",
        "XADD quantum:stream:apply.plan * plan_id forged",
        "XADD quantum:stream:apply.result * plan_id forged", "DEL quantum:stream:governor.audit",
        "GET quantum:permit:a-permit",
    ],
)  # fmt: skip
def test_the_governor_changes_no_switch_and_no_neighbours_key(guarded: GuardedRedis, command: str) -> None:
    with pytest.raises(redis.ResponseError):
        guarded.client("p33").execute_command(*command.split(" "))


async def test_an_operator_changes_the_trading_state_and_holds_and_nothing_else(
    guarded: GuardedRedis,
) -> None:
    async with open_redis_store(guarded.url("p33-operator"), prefix="quantum", consumer="ann") as store:
        assert await store.set_trading_state(None, "HALTED", _EVENT)
        assert await store.set_hold(SYMBOL, None, "drill", "operator:ann", ("event", "HOLD_SET"))
        view = await store.operator_view(SYMBOL)
        assert view.switches.trading_state == b"HALTED"
        assert view.hold is not None
        assert await store.lift_hold(SYMBOL, view.hold, ("event", "HOLD_CLEARED"))
    assert refused_by_rights(guarded) == []
    operator = guarded.client("p33-operator")
    for command in (
        "SET quantum:governor:version x", "HDEL quantum:governor:reserved p", "SET quantum:permit:forged {}",
        "DEL quantum:governor:disarm:2026-11-29", "SET quantum:kill 0",
        "XTRIM quantum:stream:governor.events MAXLEN 0",
        "EVAL return(redis.call('SET','quantum:permit:forged','{}')) 0",
    ):  # fmt: skip
        with pytest.raises(redis.ResponseError):
            operator.execute_command(*command.split(" "))
