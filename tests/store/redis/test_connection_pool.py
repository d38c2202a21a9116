"""Connections that are lost, retired or refused while others wait for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as aioredis
import trio

from permit_gate.bridge import trio_asyncio
from store.errors import StoreUnavailableError
from store.redis.connection_pool import ConnectionPool, PooledConnection
from tests.store.backends import KEYS, redis_backend
from tests.store.commits import commit, decision, deliver_plans, pending_ids
from tests.store.redis.links import linked
from tests.store.redis_servers import known_servers, running

SERVERS = known_servers()
each_server = pytest.mark.parametrize("program", SERVERS.values(), ids=SERVERS)


@each_server
async def test_nothing_is_committed_after_a_loss_of_connections_until_the_run_is_compared(
    program: Path,
) -> None:
    with running(program) as server, server.client() as other:
        async with trio_asyncio.open_loop(), redis_backend(server) as backend:
            await backend.take_lease()
            first, second = await deliver_plans(backend, "plan-1", "plan-2")
            await backend.store.redis_run(None)
            await commit(backend, decision("plan-1", first))
            other.client_kill_filter(_type="normal", skipme=True)
            for _ in range(3):
                with pytest.raises(StoreUnavailableError):
                    await commit(backend, decision("plan-2", second, assumed=None))
            assert pending_ids(backend.outside, KEYS.plans) == [second]
            await backend.store.redis_run(None)
            await commit(backend, decision("plan-2", second, assumed=None))
            assert pending_ids(backend.outside, KEYS.plans) == []


@each_server
async def test_a_connection_that_is_retired_while_it_is_opened_is_not_used(program: Path) -> None:
    with running(program) as server:
        async with trio_asyncio.open_loop():
            connections: Any = aioredis.Redis.from_url(server.url).connection_pool
            made: list[Any] = []

            async def make() -> Any:
                made.append(connections.make_connection())
                return made[-1]

            pool = ConnectionPool(make)

            async def take_meanwhile_retired() -> PooledConnection:
                server.freeze()
                taking = asyncio.create_task(pool.take())
                while not made:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                pool.renew()
                server.thaw()
                return await taking

            pooled = await trio_asyncio.aio_as_trio(take_meanwhile_retired)()
            assert [pooled.connection] == made[1:]
            assert not made[0].is_connected
            await trio_asyncio.aio_as_trio(pool.discard)(pooled)


@each_server
async def test_all_that_wait_for_a_connection_hear_of_the_refusal_when_none_is_left(program: Path) -> None:
    with running(program) as server, server.client() as other:
        async with linked(server.url, 10) as link:
            refused: list[str] = []

            async def ask(*command: str | int) -> None:
                with pytest.raises(StoreUnavailableError) as raised:
                    await link.command(*command)
                refused.append(str(raised.value))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, "BLPOP", "nothing", 0)
                while not other.info("clients")["blocked_clients"]:  # noqa: ASYNC110
                    await trio.sleep(0.002)
                other.config_set("maxclients", 1)
                for _ in range(4):
                    nursery.start_soon(ask, "PING")
                while link._pool._waiting < 4:  # noqa: ASYNC110
                    await trio.sleep(0.002)
                other.client_kill_filter(_type="normal", skipme=True)
                begun_sec = trio.current_time()
            assert refused.count("max number of clients reached") == 4
            assert trio.current_time() - begun_sec < 5
