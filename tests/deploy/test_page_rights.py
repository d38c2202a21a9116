"""deploy/redis/roles/page.*: with them the service's user does what the page offers, and the operator's user
publishes dead letters again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from brain.identifiers import EntryId, PlanId, Symbol
from store.operator_records import Republication
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import GuardedRedis, guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights

pytestmark = pytest.mark.system_tools

BTC, PLAN = Symbol("BTCUSDT"), PlanId("plan-1")
FIELDS = ("plan_id", PLAN)
LETTER = EntryId("1-0")


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path, roles=["page"]) as server:
        yield server


async def test_the_service_does_what_the_page_offers_with_the_rights_of_its_role(
    guarded: GuardedRedis,
) -> None:
    admin = guarded.admin()
    admin.execute_command("XADD", "quantum:stream:apply.plan.dead", LETTER, "entry_id", "1-0", *FIELDS)
    async with open_redis_store(guarded.url("p33"), prefix="quantum", consumer="first") as store:
        assert await store.set_trading_state(None, "HALTED", ("event", "TRADING_STATE"))
        assert await store.set_hold(BTC, None, "drill", "operator:ann", ("event", "HOLD_SET"))
        view = await store.operator_view(BTC)
        assert view.switches.trading_state == b"HALTED" and view.hold is not None
        assert await store.lift_hold(BTC, view.hold, ("event", "HOLD_CLEARED"))
        assert await store.letter_view("apply.plan", LETTER)
        assert await store.letter_view("apply.result", LETTER) is None
        assert (await store.booking_state(BTC, PLAN, ())).plan_mark is None
        for stream in ("apply.plan", "apply.result"):
            wanted = Republication(stream, LETTER, FIELDS, "by ann", undecided=PLAN, symbol=BTC)
            assert await store.republish(wanted)
        await store.note_act(("event", "OPERATOR_ACT"))
    assert refused_by_rights(guarded) == []


async def test_an_operator_publishes_dead_letters_again_and_no_more(guarded: GuardedRedis) -> None:
    guarded.admin().execute_command(
        "XADD", "quantum:stream:apply.result.dead", LETTER, "entry_id", "1-0", *FIELDS
    )
    async with open_redis_store(guarded.url("p33-operator"), prefix="quantum", consumer="ann") as store:
        assert await store.letter_view("apply.result", LETTER)
        assert await store.republish(Republication("apply.result", LETTER, FIELDS, "by ann", undecided=PLAN))
        await store.operator_view(None)
        await store.note_act(("event", "OPERATOR_ACT"))
    assert refused_by_rights(guarded) == []
    operator = guarded.client("p33-operator")
    for command in (
        "DEL quantum:p33:republished", "SET quantum:p33:plan:p x", "HSET quantum:p33:orders:BTCUSDT 1 2",
        "SET quantum:reconcile:hold:BTCUSDT 1",
    ):  # fmt: skip
        with pytest.raises(redis.ResponseError):
            operator.execute_command(*command.split(" "))
