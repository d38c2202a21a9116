"""A failover to a server that lost the latest writes: no plan begins twice there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from store.errors import StoreUnavailableError
from store.execution_records import BeginReply, OrderBegin
from store.keys import Keys
from store.redis.asyncio_bridge import open_bridge
from store.redis.store import RedisStore
from tests.store.conftest import SERVERS
from tests.store.executions import ALLOW, GOVERNOR_KEY, GRANT, NO_SWITCHES, P33_KEY, RECORD
from tests.store.movable_address import movable_address
from tests.store.redis_servers import RedisServer, running

FENCE_KEY = "q:p33:lease"


@pytest.fixture(params=list(SERVERS))
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[RedisServer, RedisServer]]:
    with running(SERVERS[request.param]) as first, running(SERVERS[request.param]) as second:
        yield first, second


async def asked(store: RedisStore) -> OrderBegin:
    now_ms = await store.redis_now_ms()
    return OrderBegin(
        record=RECORD,
        permits=((GOVERNOR_KEY, GRANT, None), (P33_KEY, ALLOW, now_ms)),
        permit_max_age_ms=60_000,
        deadline_ms=now_ms + 60_000,
        published_ms=now_ms,
        plan_max_age_ms=60_000,
        ignores_hold=False,
        switches=NO_SWITCHES,
        consumer="executor",
    )


@pytest.mark.parametrize("how", ["killed", "demoted"])
async def test_a_plan_begins_once_whether_its_record_survived_the_failover_or_not(
    pair: tuple[RedisServer, RedisServer], how: str
) -> None:
    old, new = pair
    with trio.fail_after(20):
        async with movable_address(old.socket) as address, open_bridge():
            store = RedisStore(address.url, keys=Keys("q"), consumer="first")
            fence = (await store.hold_lease("first", None, 60_000)).fence
            for server in pair:  # the replica has all but the begin
                with server.client() as client:
                    client.set(FENCE_KEY, fence)
                    client.set(GOVERNOR_KEY, GRANT)
                    client.set(P33_KEY, ALLOW)
            known = await store.execution_run(None)
            begin = await asked(store)
            assert await store.begin_order(fence, begin) == BeginReply("begun")

            if how == "killed":
                old.kill()
            else:
                with old.client() as client:
                    client.replicaof("127.0.0.1", "1")
            address.lead_to(new.socket)
            # A replica still answers that the plan has begun, until a write shows what it is.
            if how == "demoted":
                assert await store.begin_order(fence, begin) == BeginReply("exists", "executor")
            with pytest.raises(StoreUnavailableError):
                await store.append_audit(fence, ("step", "query"))
            await store.append_audit(fence, ("step", "query"))
            for _ in range(3):
                with pytest.raises(StoreUnavailableError, match="since its run was compared"):
                    await store.begin_order(fence, begin)
            run = await store.execution_run(known.run_id)
            assert run.run_id != known.run_id
            # By this the executor knows that the plan is older than the run: `recovering`.
            assert begin.published_ms <= run.changed_ms == run.now_ms
            with new.client() as client:
                assert client.get(GOVERNOR_KEY) == GRANT
            await store.close()
