"""Connections of a link: bounded, shared in turn, closed when idle, and never kept to the wrong server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
import redis.asyncio as aioredis
import trio
import trio.lowlevel

from permit_gate.bridge import trio_asyncio
from store.errors import StoreUnavailableError, WrongServerError
from store.redis import connection_pool
from store.redis.asyncio_bridge import open_bridge
from store.redis.client import MOST_CONNECTIONS, RedisLink
from store.redis.scripts import ScriptRunner
from store.redis.sentinels import OneServer
from tests.store.conftest import SERVERS
from tests.store.movable_address import movable_address
from tests.store.redis.links import WRITE, linked
from tests.store.redis_servers import RedisServer, running


def connected(server: RedisServer) -> int:
    """Clients of the server, less the one that asks."""
    with server.client() as client:
        return len(client.client_list()) - 1


async def until_blocked(server: RedisServer, count: int) -> None:
    """Wait until so many clients of the server are blocked."""
    with server.client() as client:
        while int(client.info("clients")["blocked_clients"]) < count:  # noqa: ASYNC110
            await trio.sleep(0.002)


async def at_once(link: RedisLink, count: int) -> list[Any]:
    """Send so many commands at the same time; their answers."""
    answers: list[Any] = []

    async def ask(number: int) -> None:
        answers.append(await link.command("ECHO", number))

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(ask, number)
    return answers


async def test_many_commands_at_once_share_few_connections_and_all_are_answered(server: RedisServer) -> None:
    async with linked(server.url) as link:
        most = 0
        for _ in range(5):
            answers = await at_once(link, 140)
            assert sorted(map(int, answers)) == list(range(140))
            most = max(most, connected(server))
        assert 1 <= most <= 16


async def test_a_unix_socket_takes_the_commit_of_a_batch_at_once(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await link.command("PING")
        (idle,) = link._pool._idle
        connected_by = idle.connection._writer.get_extra_info("socket")
        assert connected_by.family == socket.AF_UNIX
        # Linux counts its own overhead, too: twice what is asked for, which is no more than this.
        most = int(await trio.Path("/proc/sys/net/core/wmem_max").read_text())
        assert connected_by.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * min(1_048_576, most)


async def test_a_command_waits_for_a_free_connection_no_longer_than_its_deadline(server: RedisServer) -> None:
    async with linked(server.url, timeout_sec=1.5) as link:
        server.freeze()
        begun_sec = trio.current_time()
        failures = []

        async def ask() -> None:
            with pytest.raises(StoreUnavailableError):
                await link.command("PING")
            failures.append(trio.current_time() - begun_sec)

        async with trio.open_nursery() as nursery:
            for _ in range(3 * MOST_CONNECTIONS):
                nursery.start_soon(ask)
        server.thaw()
        assert len(failures) == 3 * MOST_CONNECTIONS
        assert max(failures) < 2 * 1.5  # one deadline, not one after the other
        assert await at_once(link, 40)
        assert connected(server) <= MOST_CONNECTIONS


async def test_a_command_that_is_cancelled_while_it_waits_costs_no_connection(server: RedisServer) -> None:
    async with linked(server.url) as link:
        async with trio.open_nursery() as nursery:
            for _ in range(MOST_CONNECTIONS):
                nursery.start_soon(link.command, "BLPOP", "nothing", 0)
            await until_blocked(server, MOST_CONNECTIONS)
            with trio.move_on_after(0.1) as waiting:
                await link.command("PING")
            assert waiting.cancelled_caught
            nursery.cancel_scope.cancel()
        assert len(await at_once(link, 140)) == 140


async def test_surplus_connections_are_closed_once_they_are_idle(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "IDLE_SEC", 0.2)
    async with linked(server.url) as link:
        await at_once(link, 140)
        assert connected(server) > 2
        with trio.fail_after(5):
            while connected(server) > 1:
                await link.command("PING")
                await trio.sleep(0.01)
        assert await link.command("PING")


@pytest.fixture(params=list(SERVERS))
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[RedisServer, RedisServer]]:
    with running(SERVERS[request.param]) as first, running(SERVERS[request.param]) as second:
        yield first, second


def demote(server: RedisServer, *, serve_stale: bool = True) -> None:
    """Make it a replica of a primary that does not answer; its connections live on."""
    with server.client() as client:
        client.config_set("replica-serve-stale-data", "yes" if serve_stale else "no")
        client.replicaof("127.0.0.1", "1")


ASKED: dict[str, Callable[[RedisLink], Awaitable[object]]] = {
    "command": lambda link: link.command("SET", "k", "v"),
    "script": lambda link: link.command("EVAL", WRITE, 0, "v"),
    "pipeline": lambda link: link.pipeline([("GET", "k"), ("EVAL", WRITE, 0, "v"), ("GET", "k")]),
    "master down": lambda link: link.command("GET", "k"),
}


@pytest.mark.parametrize("how", list(ASKED))
async def test_a_demoted_server_costs_one_failure_however_many_connections_lead_to_it(
    pair: tuple[RedisServer, RedisServer], how: str
) -> None:
    old, new = pair
    async with movable_address(old.socket) as address, linked(address.url) as link:
        await at_once(link, 140)
        demote(old, serve_stale=how != "master down")
        address.lead_to(new.socket)
        with pytest.raises(WrongServerError):
            await ASKED[how](link)
        assert await link.command("SET", "k", "v")
        assert len(await at_once(link, 140)) == 140
        assert connected(old) == 0
        with new.client() as client:
            assert client.get("k") == b"v"


async def test_a_blocked_read_is_ended_by_the_demotion_and_the_next_goes_to_the_new_server(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    old, new = pair
    read = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 4000, "STREAMS", "s", ">")
    for server in pair:
        with server.client() as client:
            client.xgroup_create("s", "g", "$", mkstream=True)
    async with movable_address(old.socket) as address, linked(address.url) as link:
        errors: list[Exception] = []

        async def block() -> None:
            try:
                await link.command(*read)
            except StoreUnavailableError as error:
                errors.append(error)

        with trio.fail_after(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(block)
                await until_blocked(old, 1)
                demote(old)
                address.lead_to(new.socket)
        assert [type(error) for error in errors] == [WrongServerError]
        with new.client() as client:
            client.xadd("s", {"a": "b"})
        with trio.fail_after(3):
            assert await link.command(*read)


async def test_a_connection_that_is_in_use_when_the_pool_is_renewed_is_not_used_again(
    server: RedisServer,
) -> None:
    """A read of a demoted server succeeds: nothing in its own answer says that the connection is old."""
    async with open_bridge():
        factory: Any = aioredis.ConnectionPool.from_url(server.url)
        pool = connection_pool.ConnectionPool(partial(OneServer().connection, factory))
        take, give_back = trio_asyncio.aio_as_trio(pool.take), trio_asyncio.aio_as_trio(pool.give_back)
        kept, idle, in_use = await take(), await take(), await take()
        await give_back(idle)
        pool.renew()
        await give_back(in_use)
        assert not in_use.connection.is_connected
        fresh = await take()
        assert fresh not in (kept, idle, in_use)
        assert [each.connection.is_connected for each in (kept, idle, in_use)] == [True, False, False]
        await give_back(fresh)
        assert await take() is fresh
        for each in (kept, fresh):
            await trio_asyncio.aio_as_trio(each.connection.disconnect)()


async def test_a_connection_that_was_looked_at_by_a_caller_who_is_cancelled_is_closed(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bridge():
        factory: Any = aioredis.ConnectionPool.from_url(server.url)
        pool = connection_pool.ConnectionPool(partial(OneServer().connection, factory))
        take = trio_asyncio.aio_as_trio(pool.take)
        idle = await take()
        await trio_asyncio.aio_as_trio(pool.give_back)(idle)
        monkeypatch.setattr(idle.connection, "can_read", asyncio.Event().wait)
        with trio.move_on_after(0.1) as scope:
            await take()
        assert scope.cancelled_caught
        assert not idle.connection.is_connected


async def test_no_answer_in_time_drops_the_other_connections_too(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    """An old host that is gone without a word: each of its connections would cost a deadline."""
    old, new = pair
    async with movable_address(old.socket) as address, linked(address.url, timeout_sec=1.5) as link:
        await at_once(link, 140)
        old.freeze()
        address.lead_to(new.socket)
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")
        # Within one deadline: none of the old connections is tried.
        assert await link.command("SET", "k", "v")
        old.thaw()


async def test_scripts_are_sent_again_to_the_server_that_has_taken_over(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    old, new = pair
    for each in pair:
        with each.client() as client:
            client.set("q:p33:lease", "1:first")
    async with movable_address(old.socket) as address, linked(address.url) as link:
        scripts = ScriptRunner(link)
        fields = msgspec.msgpack.encode(["event", "x"])
        emit = ("q", "1:first", fields)
        await scripts.run("emit_event", *emit)
        demote(old)
        address.lead_to(new.socket)
        with pytest.raises(WrongServerError):
            await scripts.run_each("emit_event", [emit, emit])
        assert len(await scripts.run_each("emit_event", [emit, emit])) == 2
        with new.client() as client:
            assert client.xlen("q:stream:reconcile.events") == 2
