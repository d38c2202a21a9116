from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from commands.clients.embedded_redis import find_redis_server
from store.errors import StoreUnavailableError, WrongRightsError, WrongServerError, WrongTypeError
from store.keys import Keys
from store.redis.client import MOST_CONNECTIONS
from store.redis.store import RedisStore, open_redis_store
from tests.store.redis.links import WRITE, linked, listening
from tests.store.redis_servers import RedisServer, running

TIMEOUT_SEC = 0.3


async def test_a_server_that_is_not_there_is_unavailable_at_once(tmp_path: Path) -> None:
    async with linked(f"unix://{tmp_path}/none.sock") as link:
        with trio.fail_after(1), pytest.raises(StoreUnavailableError):
            await link.command("PING")
        with trio.fail_after(1), pytest.raises(StoreUnavailableError):
            await link.pipeline([("PING",), ("PING",)])


async def test_a_refused_connection_is_unavailable_at_once() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with linked(f"redis://127.0.0.1:{port}/0") as link:
        with trio.fail_after(1), pytest.raises(StoreUnavailableError):
            await link.command("PING")


async def test_a_server_that_accepts_and_never_answers_is_unavailable_within_the_timeout() -> None:
    async with listening(None) as url, linked(url, TIMEOUT_SEC) as link:
        begun_sec = trio.current_time()
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")
        with pytest.raises(StoreUnavailableError):
            await link.pipeline([("GET", "a"), ("GET", "b")])
        assert trio.current_time() - begun_sec < 4 * TIMEOUT_SEC


@pytest.mark.parametrize("answer", [b"", b"-LOADING Redis is loading the dataset in memory\r\n"])
async def test_a_server_that_hangs_up_or_still_loads_is_unavailable(answer: bytes) -> None:
    async with listening(answer) as url, linked(url, TIMEOUT_SEC) as link:
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")


async def test_a_server_that_answers_and_is_no_redis_is_unavailable() -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url, linked(url, TIMEOUT_SEC) as link:
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")


async def test_a_cancelled_call_is_cancelled_not_unavailable() -> None:
    async with listening(None) as url, linked(url) as link:
        with trio.move_on_after(0.05) as scope:
            await link.command("PING")
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://user:secret@localhost:6380/2", "redis://localhost:6380/2"),
        ("rediss://:secret@example.org", "rediss://example.org"),
        ("unix:///tmp/redis.sock?db=0&password=secret", "unix:///tmp/redis.sock"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    ],
)
def test_the_address_has_no_credentials(url: str, address: str) -> None:
    assert RedisStore(url, keys=Keys("q"), consumer="first").address == address


async def test_a_store_opens_and_closes_without_a_redis(tmp_path: Path) -> None:
    async with open_redis_store(f"unix://{tmp_path}/none.sock", prefix="q", consumer="first") as store:
        with pytest.raises(StoreUnavailableError):
            await store.redis_now_ms()


@pytest.mark.redis
async def test_a_caller_after_a_cancelled_pipeline_gets_an_answer_of_its_own() -> None:
    with running(find_redis_server()) as server:
        async with linked(server.url) as link:
            with trio.move_on_after(0.1) as scope:
                await link.pipeline([("ECHO", "first"), ("BLPOP", "nothing", 1), ("ECHO", "last")])
            assert scope.cancelled_caught
            with trio.fail_after(0.5):
                assert await link.command("ECHO", "mine") == b"mine"
            await trio.sleep(1.1)
            assert await link.command("ECHO", "mine, too") == b"mine, too"


@pytest.mark.redis
async def test_a_refusal_within_a_pipeline_is_the_answer_to_its_command_alone() -> None:
    with running(find_redis_server()) as server:
        async with linked(server.url) as link:
            shown = await link.pipeline([("SET", "k", "v"), ("LPUSH", "k", "1"), ("GET", "k")])
            assert [type(each) for each in shown[:2]] == [bool, WrongTypeError]
            assert shown[2] == b"v"
            assert await link.pipeline([]) == []
            with pytest.raises(WrongTypeError):
                await link.command("LPUSH", "k", "1")
            assert await link.command("GET", "k") == b"v"


@contextmanager
def account(server: RedisServer, keys: str) -> Iterator[tuple[Any, str]]:
    """Yield an administrator's client, and the URL of a user with all rights on these keys."""
    with server.client() as client:
        client.acl_setuser("p33", enabled=True, passwords=["+secret"], keys=[keys], commands=["+@all"])
        yield client, server.url.replace("unix://", "unix://p33:secret@")


async def test_a_login_that_is_refused_names_the_user_and_recovers_by_itself(server: RedisServer) -> None:
    with account(server, "*") as (client, url):
        async with linked(url) as link:
            assert await link.command("SET", "k", "v")
            client.acl_setuser("p33", enabled=True, reset_passwords=True, passwords=["+another"])
            client.client_kill_filter(user="p33")
            await trio.sleep(0.05)  # until the link has seen that its connection is closed
            for _ in range(3):
                with pytest.raises(WrongRightsError, match="the login of user p33 is refused: WRONGPASS"):
                    await link.command("SET", "k", "v")
            client.acl_setuser("p33", enabled=True, passwords=["+secret"])
            assert await link.command("SET", "k", "v")


async def test_a_right_that_is_taken_names_the_command_and_recovers_by_itself(server: RedisServer) -> None:
    with account(server, "k") as (client, url):
        async with linked(url) as link:
            assert await link.command("SET", "k", "v")
            client.acl_setuser("p33", enabled=True, commands=["-set"])
            with pytest.raises(WrongRightsError, match="user p33 has no right to SET k: NOPERM"):
                await link.command("SET", "k", "v")
            with pytest.raises(WrongRightsError, match="user p33 has no right to SET k: NOPERM"):
                await link.pipeline([("GET", "k"), ("SET", "k", "v")])
            # Valkey names the command, too.
            with pytest.raises(WrongRightsError, match=r"p33 has no right to (a command of a script|SET): "):
                await link.command("EVAL", WRITE, 0, "v")
            with pytest.raises(WrongRightsError, match="user p33 has no right to GET other: NOPERM"):
                await link.command("GET", "other")
            client.acl_setuser("p33", enabled=True, commands=["+set", "-eval"])
            with pytest.raises(WrongRightsError, match="user p33 has no right to EVAL: NOPERM"):
                await link.command("EVAL", WRITE, 0, "v")
            client.acl_setuser("p33", enabled=True, commands=["+eval"])
            assert await link.command("EVAL", WRITE, 0, "v")


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", WrongServerError),
        (b"-READONLY You can't write against a read only replica.\r\n", WrongServerError),
        (b"-MASTERDOWN Link with MASTER is down\r\n", WrongServerError),
        (b"-NOPROTO unsupported protocol version\r\n", WrongServerError),
        (b"-ERR unknown command 'HELLO', with args beginning with: '3'\r\n", WrongRightsError),
        (b"-NOPERM this user has no permissions to run the 'hello' command\r\n", WrongRightsError),
        (b"-NOAUTH HELLO must be called with the client already authenticated\r\n", WrongRightsError),
        (b"-ERR max number of clients reached\r\n", StoreUnavailableError),
        # No input of ours is in a handshake, so that no answer to it is a refusal of ours.
        (b"-DENIED Redis is running in protected mode\r\n", StoreUnavailableError),
        (b"-ERR no upstream host\r\n", StoreUnavailableError),
    ],
)
async def test_an_answer_to_the_handshake_means_what_it_means_elsewhere(
    answer: bytes, meaning: type[StoreUnavailableError]
) -> None:
    async with listening(answer) as url, linked(url) as link:
        for _ in range(2 * MOST_CONNECTIONS):
            with pytest.raises(StoreUnavailableError) as raised:
                await link.command("SET", "k", "v")
            assert type(raised.value) is meaning


async def test_a_database_that_the_server_does_not_have_is_waited_for(server: RedisServer) -> None:
    async with linked(server.url.replace("db=0", "db=99")) as link:
        with pytest.raises(WrongServerError, match="DB index is out of range"):
            await link.command("SET", "k", "v")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://p33:secret@10.0.0.1:6379/2", "redis://10.0.0.1:6379/2"),
        ("rediss://:secret@[::1]:6380/0?ssl_ca_certs=/x", "rediss://[::1]:6380/0"),
        ("unix://p33:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        (
            "redis+sentinel://p33:secret@a,b:27000,[::1]:26379/main/0?sentinel_password=secret",
            "redis+sentinel://a,b:27000,[::1]:26379/main/0",
        ),
    ],
)
async def test_the_address_of_a_link_has_no_credentials(url: str, shown: str) -> None:
    async with linked(url) as link:
        assert link.address == shown
