"""Answers of Sentinels that differ, fail, come late or make no sense, with real servers behind them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from store.errors import StoreUnavailableError, WrongServerError
from store.keys import Keys
from store.redis.asyncio_bridge import open_bridge
from store.redis.client import RedisLink
from store.redis.sentinels import ASK_SEC, LOOK_SEC, read_sentinel_address
from store.redis.store import RedisStore
from tests.integration.waiting import until
from tests.store.fake_sentinels import fake_sentinels, naming, url_of
from tests.store.redis.links import linked
from tests.store.sentinel_servers import Server, free_port, listens

pytestmark = pytest.mark.redis


SERVER = 'port {port}\nbind 127.0.0.1\nsave ""\nuser client on >of-client ~* &* +@all\n'

Pair = tuple[Server, Server]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """The old and the new primary; neither knows of the other."""
    old, new = (Server(tmp_path / name, SERVER) for name in ("old", "new"))
    try:
        for server in (old, new):
            server.start()
            await listens(server)
        yield old, new
    finally:
        for server in (old, new):
            server.kill()


def has(server: Server, key: str) -> bool:
    with server.client() as client:
        return bool(client.exists(key))


async def written(link: RedisLink, key: str, *, attempts: int = 10) -> int:
    """Write until it succeeds; return how often it failed."""
    for failures in range(attempts):
        with suppress(StoreUnavailableError, WrongServerError):
            await link.command("SET", key, "v")
            return failures
    raise AssertionError(f"not written in {attempts} attempts")


async def looks(link: RedisLink) -> None:
    """Send commands until a comparison with the Sentinels is over."""
    await trio.sleep(LOOK_SEC)
    for _ in range(20):
        with suppress(StoreUnavailableError):
            await link.command("PING")
        await trio.sleep(0.01)


async def test_a_server_that_refuses_connections_is_left_for_the_one_that_another_sentinel_names(
    pair: Pair,
) -> None:
    live = pair[0]
    async with (
        fake_sentinels(naming(free_port()), naming(live.port)) as sentinels,
        linked(url_of(sentinels)) as link,
    ):
        assert await written(link, "k") <= 2
        assert has(live, "k")


async def test_a_lost_connection_lets_a_command_use_the_other_server_and_a_look_without_majority_stays(
    pair: Pair,
) -> None:
    old, new = pair
    async with (
        fake_sentinels(naming(old.port), naming(old.port)) as sentinels,
        linked(url_of(sentinels)) as link,
    ):
        assert await written(link, "before") == 0
        sentinels[1].answer = naming(new.port)
        await looks(link)
        assert await written(link, "looked") == 0 and has(old, "looked")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails, link)
            with old.client() as client:
                await until(lambda: client.info("clients")["blocked_clients"], "it waits")
                client.client_kill_filter(_type="normal", skipme=True)
        assert await written(link, "after") <= 1
        assert has(new, "after") and not has(old, "after")
        await looks(link)
        assert await written(link, "later") == 0 and has(new, "later")


async def fails(link: RedisLink) -> None:
    with pytest.raises(StoreUnavailableError):
        await link.command("BLPOP", "nothing", 0)


async def refused_together(old: Server, link: RedisLink) -> None:
    with old.client() as client:
        client.config_set("min-replicas-to-write", 1)

    async def refused() -> None:
        with pytest.raises((WrongServerError, StoreUnavailableError)):
            await link.command("SET", "refused", "v")

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(refused)


async def silent(old: Server, link: RedisLink) -> None:
    old.send(signal.SIGSTOP)
    with pytest.raises(StoreUnavailableError):
        await link.command("PING")


async def only_looked(old: Server, link: RedisLink) -> None:
    await looks(link)


@pytest.mark.parametrize("change", [refused_together, silent, only_looked])
@pytest.mark.parametrize("cut_off", [0, 2])
async def test_a_sentinel_that_is_cut_off_is_overruled_by_the_two_others_for_good(
    pair: Pair,
    cut_off: int,
    change: Callable[[Server, RedisLink], Awaitable[None]],
) -> None:
    old, new = pair
    async with fake_sentinels(*[naming(old.port)] * 3) as sentinels:
        async with linked(url_of(sentinels), timeout_sec=0.7) as link:
            assert await written(link, "before") == 0
            for number, sentinel in enumerate(sentinels):
                sentinel.answer = naming((old if number == cut_off else new).port)
            await change(old, link)
            assert await written(link, "after") <= 2
            assert has(new, "after")
            new.send(signal.SIGSTOP)
            for _ in range(2):
                with pytest.raises(StoreUnavailableError):
                    await link.command("PING")
            new.send(signal.SIGCONT)
            assert await written(link, "slow") <= 1
            assert has(new, "slow")
        old.send(signal.SIGCONT)
        assert not has(old, "after") and not has(old, "slow")


async def test_a_further_connection_leads_to_the_present_server_while_no_sentinel_answers_until_it_fails(
    pair: Pair,
) -> None:
    server = pair[0]
    async with open_bridge():
        async with fake_sentinels(*[naming(server.port)] * 3) as sentinels:
            link = RedisLink(url_of(sentinels), timeout_sec=1)
            assert await written(link, "before") == 0
        await trio.sleep(2 * ASK_SEC)
        link._pool.renew()
        assert await written(link, "away") == 0
        server.send(signal.SIGSTOP)
        with pytest.raises(StoreUnavailableError, match="no answer within 1 s"):
            await link.command("PING")
        server.send(signal.SIGCONT)
        with pytest.raises(StoreUnavailableError, match="no Sentinel names the primary of quantum"):
            await link.command("PING")
        await link.close()


async def test_the_links_of_a_store_ask_together_and_all_move_at_once(
    pair: Pair,
) -> None:
    old, new = pair
    async with fake_sentinels(*[naming(old.port)] * 3) as sentinels, open_bridge():
        store = RedisStore(url_of(sentinels), keys=Keys("p33:"), consumer="one")
        await store.redis_now_ms()
        for link in store._readers:
            await link.command("PING")
        for sentinel in sentinels:
            sentinel.answer = naming(new.port)
        await looks(store._writes)
        for link in (store._writes, *store._readers):
            assert await written(link, f"by-{id(link)}") == 0
            assert has(new, f"by-{id(link)}")
        assert [each.most_connections for each in sentinels] == [1, 1, 1]
        await store.close()
        await until(lambda: not any(each.connections for each in sentinels), "all are closed")


async def test_commands_that_queue_while_all_sentinels_are_silent_name_that_as_the_cause() -> None:
    async with (
        fake_sentinels(None, None, None) as sentinels,
        linked(url_of(sentinels), timeout_sec=1) as link,
    ):
        said: list[str] = []

        async def ask() -> None:
            with pytest.raises(StoreUnavailableError) as raised:
                await link.command("PING")
            said.append(str(raised.value))

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(ask)
        assert len(said) == 12
        assert all(each.startswith("no Sentinel names the primary") for each in said), said
        assert all(f"127.0.0.1:{each.port}: no answer" in said[0] for each in sentinels)


@pytest.mark.parametrize(
    "answer",
    [
        b":1\r\n",
        b"+OK\r\n",
        b"*1\r\n$1\r\na\r\n",
        b"*2\r\n:1\r\n:2\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nx\r\n",
        b"*2\r\n$1\r\na\r\n$5\r\n70000\r\n",
        b"*2\r\n$1\r\n\xff\r\n$1\r\n1\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_an_odd_answer_of_a_sentinel_is_named_and_ends_nothing(pair: Pair, answer: bytes) -> None:
    async with fake_sentinels(answer) as sentinels, linked(url_of(sentinels)) as link:
        with pytest.raises(StoreUnavailableError, match="no Sentinel names the primary of quantum: 127"):
            await link.command("PING")
        sentinels[0].answer = naming(pair[0].port)
        assert await written(link, "k") == 0
        sentinels[0].answer = answer
        await looks(link)
        assert await written(link, "k") == 0


async def test_a_sentinel_whose_login_takes_longer_than_an_answer_may_is_used_in_the_end(
    pair: Pair,
) -> None:
    async with fake_sentinels(naming(pair[0].port)) as sentinels:
        sentinels[0].login_sec = 3 * ASK_SEC
        async with linked(url_of(sentinels, "?sentinel_password=far")) as link:
            with trio.fail_after(6 * ASK_SEC):
                with pytest.raises(StoreUnavailableError, match=f"no answer within {ASK_SEC}"):
                    await link.command("PING")
                while True:
                    with suppress(StoreUnavailableError):
                        await link.command("PING")
                        break
                    await trio.sleep(0.02)
            assert sentinels[0].most_connections == 1


async def test_a_link_that_is_closed_while_it_is_cancelled_leaves_no_connection_to_a_sentinel(
    pair: Pair,
) -> None:
    async with fake_sentinels(naming(pair[0].port)) as sentinels, open_bridge():
        link = RedisLink(url_of(sentinels), timeout_sec=1)
        assert await written(link, "k") == 0 and sentinels[0].connections == 1
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.close()
        await until(lambda: not sentinels[0].connections, "it is closed")


def test_a_plus_in_the_password_for_sentinels_is_one() -> None:
    address = read_sentinel_address("redis+sentinel://a:1/quantum/0?sentinel_password=a+b%2Bc%20d")
    assert address is not None
    assert address.sentinels == {"a:1": "redis://a:1?password=a%2Bb%2Bc+d"}
