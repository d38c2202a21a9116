"""A Sentinel's own port and a node of a cluster in the place of Redis, and Sentinels that name no primary."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from store.errors import StoreUnavailableError, WrongRightsError, WrongServerError
from store.redis.client import RedisLink
from store.redis.sentinels import ASK_SEC, LOOK_SEC
from tests.integration.waiting import until
from tests.store.redis.links import linked
from tests.store.sentinel_servers import Server, free_port, listens, sentinel_site

SENTINEL = "port {port}\nbind 127.0.0.1\nsentinel monitor quantum 127.0.0.1 1 1\n"
CLUSTER = 'port {port}\nbind 127.0.0.1\ncluster-enabled yes\nsave ""\n'
PLAIN = 'port {port}\nbind 127.0.0.1\nsave ""\n'
LOGINS = ("", "p33:secret@", ":secret@")

pytestmark = pytest.mark.redis

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server with a configuration; all are gone afterwards."""
    started: list[Server] = []

    def run(configuration: str, *arguments: str) -> Server:
        server = Server(tmp_path / str(len(started)), configuration, *arguments)
        started.append(server)
        server.start()
        return server

    yield run
    for server in started:
        server.kill()


@pytest.mark.parametrize("database", [0, 2])
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    ("configuration", "arguments", "words"),
    [
        (SENTINEL, ("--sentinel",), "a Sentinel answers there"),
        (CLUSTER, (), "a node of a Redis Cluster"),
    ],
    ids=["sentinel", "cluster"],
)
async def test_a_server_of_the_wrong_kind_is_named_whatever_the_login_and_the_database(
    start: Start, configuration: str, arguments: tuple[str, ...], words: str, login: str, database: int
) -> None:
    server = start(configuration, *arguments)
    await listens(server)
    async with linked(f"redis://{login}127.0.0.1:{server.port}/{database}") as link:
        for _ in range(3):
            with pytest.raises(WrongServerError, match=words):
                await link.command("SET", "k", "v")


async def test_a_wrong_login_at_a_plain_server_stays_a_wrong_login(start: Start) -> None:
    server = start(PLAIN)
    await listens(server)
    async with linked(f"redis://p33:secret@127.0.0.1:{server.port}/2") as link:
        with pytest.raises(WrongRightsError, match="login of user p33"):
            await link.command("SET", "k", "v")


async def test_sentinels_that_name_no_primary_are_each_named_without_passwords(start: Start) -> None:
    sentinel, plain = start(SENTINEL, "--sentinel"), start(PLAIN)
    for server in (sentinel, plain):
        await listens(server)
    nothing = free_port()
    hosts = ",".join(f"127.0.0.1:{port}" for port in (nothing, plain.port, sentinel.port))
    url = f"redis+sentinel://p33:first@{hosts}/other/0?sentinel_username=p33&sentinel_password=second"
    async with linked(url) as link:
        with pytest.raises(StoreUnavailableError) as raised:
            await link.command("PING")
    said = str(raised.value)
    assert said.startswith("no Sentinel names the primary of other: ")
    assert all(f"127.0.0.1:{port}" in said for port in (nothing, plain.port, sentinel.port))
    assert "first" not in said and "second" not in said


async def test_sentinels_that_are_silent_delay_a_connection_by_their_own_deadline_and_only_once() -> None:
    async with sentinel_site() as site:
        for sentinel in site.sentinels[:2]:
            sentinel.send(signal.SIGSTOP)
        async with linked(site.url, timeout_sec=1) as link:
            begun_sec = trio.current_time()
            assert await link.command("SET", "k", "v")
            assert ASK_SEC <= trio.current_time() - begun_sec < 1
            link._pool.renew()
            begun_sec = trio.current_time()
            assert await link.command("SET", "k", "v")
            assert trio.current_time() - begun_sec < ASK_SEC


async def test_a_primary_is_used_on_while_no_sentinel_answers() -> None:
    async with sentinel_site() as site, linked(site.url) as link:
        assert await link.command("SET", "k", "v")
        for sentinel in site.sentinels:
            sentinel.kill()
        admin = site.servers[0].client()
        connections = admin.info("stats")["total_connections_received"]
        begun_sec = trio.current_time()
        while trio.current_time() - begun_sec < 2 * LOOK_SEC:
            assert await link.command("SET", "k", "v")
            await trio.sleep(0.02)
        assert admin.info("stats")["total_connections_received"] == connections


async def test_commands_leave_an_old_primary_that_still_takes_writes_after_a_planned_failover() -> None:
    async with sentinel_site() as site:
        old = site.primary()
        async with linked(site.url) as link:
            assert await link.command("SET", "before", "v")
            await site.plan_failover()
            new = await site.has_new_primary(old)
            assert old.client().info("replication")["role"] == "master", "it takes writes for 8 s more"

            async def written() -> None:
                while not new.client().exists("after"):
                    with suppress(StoreUnavailableError):
                        await link.command("SET", "after", "v")
                    await trio.sleep(0.05)

            with trio.fail_after(3):
                await written()


async def test_a_sentinel_that_is_cut_off_and_names_the_old_primary_is_overruled_after_a_failover() -> None:
    async with sentinel_site() as site:
        old, cut_off = site.primary(), site.sentinels[0]
        async with linked(site.url) as link:
            assert await link.command("SET", "before", "v")
            site.cut_off_sentinel(cut_off)
            await site.plan_failover()
            new = await site.has_new_primary(old)
            with trio.fail_after(3):
                while not new.client().exists("after"):
                    with suppress(StoreUnavailableError):
                        await link.command("SET", "after", "v")
                    await trio.sleep(0.05)
            for _ in range(3):
                await trio.sleep(LOOK_SEC)
                assert site.named_by(cut_off) is old
                key = f"later-{trio.current_time()}"
                assert await link.command("SET", key, "v") and new.client().exists(key)


async def test_a_read_that_waits_at_the_old_primary_fails_when_the_sentinels_name_another() -> None:
    """So that its actor looks whether it is another Redis, before it writes there."""
    async with sentinel_site() as site, linked(site.url) as reads:
        writes = RedisLink(site.url, timeout_sec=5, beside=reads)
        assert await writes.command("SET", "k", "v") and await reads.command("SET", "k", "v")
        failed = trio.Event()

        async def wait_there() -> None:
            with pytest.raises(StoreUnavailableError):
                await reads.command("BLPOP", "nothing", 0)
            failed.set()

        old = site.primary()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_there)
            await until(lambda: old.client().info("clients")["blocked_clients"], "a read that waits")
            await site.plan_failover()
            new = await site.has_new_primary(old)
            with trio.fail_after(3):
                while not failed.is_set():
                    with suppress(StoreUnavailableError):
                        await writes.command("SET", "after", "v")
                    assert failed.is_set() or not new.client().exists("after")
                    await trio.sleep(0.02)
        await writes.close()
