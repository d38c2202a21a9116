from __future__ import annotations

import trio
import trio.lowlevel

from store.keys import Keys
from store.redis.store import RedisStore, open_redis_store
from tests.store.redis_servers import RedisServer

KEYS = Keys("q")


def connected(server: RedisServer) -> int:
    """Clients of the server, less the one that asks."""
    with server.client() as client:
        return len(client.client_list()) - 1


async def read(store: RedisStore) -> None:
    await store.audit_rows(KEYS.audit)
    await store.entries_naming(KEYS.audit, "no such text", first="+", last="-", back=True)
    await store.read_keys(["q:a"], ["q:b"])


async def test_many_reads_of_pages_have_two_connections_and_none_of_the_commits(server: RedisServer) -> None:
    async with open_redis_store(server.url, prefix="q", consumer="here") as store:
        await store.redis_now_ms()
        assert connected(server) == 1
        most = 0
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(read, store)
            while len(nursery.child_tasks):
                most = max(most, connected(server))
                await trio.lowlevel.checkpoint()
        assert most == connected(server) == 3


async def test_a_commit_does_not_wait_for_reads_of_pages(server: RedisServer) -> None:
    """Each of the reads' connections waits for a reply that does not come."""
    async with open_redis_store(server.url, prefix="q", consumer="here") as store:
        await store.redis_now_ms()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(store._desk.command, "BLPOP", "nothing", 0)
            with server.client() as client, trio.fail_after(5):
                while int(client.info("clients")["blocked_clients"]) < 2:  # noqa: ASYNC110
                    await trio.sleep(0.002)
            assert await store.redis_now_ms()
            assert connected(server) == 3
            nursery.cancel_scope.cancel()
