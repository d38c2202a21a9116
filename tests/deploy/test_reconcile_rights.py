"""deploy/redis/roles/reconcile.acl: with it the service's user can take each step of the reconcile engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from brain.identifiers import Symbol
from store.keys import Keys, ReconcileKeys
from store.reconcile_records import Agreement, ExpectedLedger
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import GuardedRedis, guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights
from tests.store.reconciled import (
    CLOSING,
    DRIFTED,
    HELD_ON,
    LEDGER,
    NEXT_SIG,
    OPENING,
    PROPOSAL,
    RELEASE,
    repair,
)

pytestmark = pytest.mark.system_tools

KEYS = Keys("quantum")


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path, roles=["reconcile"]) as server:
        yield server


@pytest.mark.parametrize("shadow", [False, True])
async def test_the_engine_takes_each_of_its_steps_with_the_rights_of_its_role(
    guarded: GuardedRedis, shadow: bool
) -> None:
    engine, admin = ReconcileKeys(KEYS, shadow=shadow), guarded.admin()
    stored = {name: text for name, text in msgspec.structs.asdict(LEDGER).items() if text is not None}
    admin.hset(KEYS.ledger(DRIFTED), mapping={**stored, "version": "3"})
    admin.set("quantum:executor:client:p33-1", "plan-1")
    admin.hset("quantum:executor:order:plan-1", mapping={"state": "final"})
    for key, text in ((KEYS.hold(DRIFTED), "1"), ("quantum:reconcile:hold_sig:DOGEUSDT", "exec:p33-1")):
        admin.set(key, text, px=300_000)
    async with open_redis_store(
        guarded.url("p33"), prefix="quantum", consumer="first", reconcile_shadow=shadow
    ) as store:
        fence = (await store.hold_lease("first", None, 60_000)).fence
        await store.note_agreements(fence, [Agreement(DRIFTED, 5, "3")])
        assert OPENING.hold is not None
        taken = msgspec.structs.replace(OPENING.hold, before="exec:p33-1")
        assert await store.change_case(fence, msgspec.structs.replace(OPENING, hold=taken))
        assert (await store.read_keys([], [engine.state(DRIFTED)])).hashes[0]
        expected = ExpectedLedger(DRIFTED, "0.7", None, None)
        assert (await store.differing_ledgers([expected])).differing == [DRIFTED]
        assert (await store.reconcile_views([DRIFTED]))[DRIFTED].ledger == LEDGER
        assert await store.own_holds([DRIFTED]) == [DRIFTED]
        await store.booked_growth(DRIFTED, [], [])
        for bucket, stream in ((0, engine.plans), (2, engine.closes)):
            close = msgspec.structs.replace(PROPOSAL, bucket=bucket, stream=stream)
            assert await store.propose_close(fence, close)
            admin.delete(engine.close_out(DRIFTED))
        assert await store.repair_ledger(fence, repair(hold=HELD_ON))
        release = msgspec.structs.replace(RELEASE, before=NEXT_SIG)
        assert await store.change_case(fence, msgspec.structs.replace(CLOSING, hold=release))
        assert await store.own_holds([DRIFTED, Symbol("ETHUSDT")]) == []
    assert refused_by_rights(guarded) == []


@pytest.mark.parametrize(
    "command",
    [
        "SET quantum:executor:client:p33-1 a-plan", "HSET quantum:executor:order:a-plan state final",
        "SET quantum:permit:forged {}", "GET quantum:permit:a-permit", "DEL quantum:governor:reserved",
        "SET quantum:governor:trading_state ACTIVE", "DEL quantum:kill", "DEL quantum:stream:apply.plan",
        "XADD quantum:stream:apply.result * plan_id forged", "SET quantum:cooldown:last_exec_ts:BTCUSDT 0",
        "XADD quantum:stream:governor.events * event forged",
    ],
)  # fmt: skip
def test_the_engine_changes_no_order_no_permit_and_no_switch(guarded: GuardedRedis, command: str) -> None:
    with pytest.raises(redis.ResponseError):
        guarded.client("p33").execute_command(*command.split(" "))
