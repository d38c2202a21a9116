from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio_asyncio

from commands.clients.embedded_redis import find_redis_server
from store.errors import StoreUnavailableError, WrongTypeError
from store.keys import Keys
from store.redis.client import RedisLink
from store.redis.store import RedisStore, open_redis_store
from tests.store.redis_servers import running

TIMEOUT_SEC = 0.3


@asynccontextmanager
async def linked(url: str, timeout_sec: float = TIMEOUT_SEC) -> AsyncIterator[RedisLink]:
    """Yield a link to `url`, closed in the end."""
    async with trio_asyncio.open_loop():
        link = RedisLink(url, timeout_sec=timeout_sec)
        yield link
        await link.close()


async def test_a_server_that_is_not_there_is_unavailable_at_once(tmp_path: Path) -> None:
    async with linked(f"unix://{tmp_path}/none.sock", 5) as link:
        with trio.fail_after(1), pytest.raises(StoreUnavailableError):
            await link.command("PING")
        with trio.fail_after(1), pytest.raises(StoreUnavailableError):
            await link.pipeline([("PING",), ("PING",)])


async def test_a_refused_connection_is_unavailable_at_once() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with linked(f"redis://127.0.0.1:{port}/0", 5) as link:
        with trio.fail_after(1), pytest.raises(StoreUnavailableError):
            await link.command("PING")


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[str]:
    """A server that takes connections and answers every command alike, or hangs up (`b""`), or is silent."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            while answer is None or answer:
                if not await stream.receive_some(4096):
                    return
                if answer:
                    await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"redis://127.0.0.1:{listeners[0].socket.getsockname()[1]}/0"
        nursery.cancel_scope.cancel()


async def test_a_server_that_accepts_and_never_answers_is_unavailable_within_the_timeout() -> None:
    async with listening(None) as url, linked(url) as link:
        begun_sec = trio.current_time()
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")
        with pytest.raises(StoreUnavailableError):
            await link.pipeline([("GET", "a"), ("GET", "b")])
        assert trio.current_time() - begun_sec < 4 * TIMEOUT_SEC


@pytest.mark.parametrize("answer", [b"", b"-LOADING Redis is loading the dataset in memory\r\n"])
async def test_a_server_that_hangs_up_or_still_loads_is_unavailable(answer: bytes) -> None:
    async with listening(answer) as url, linked(url) as link:
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")


async def test_a_server_that_answers_and_is_no_redis_is_unavailable() -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url, linked(url) as link:
        with pytest.raises(StoreUnavailableError):
            await link.command("PING")


async def test_a_cancelled_call_is_cancelled_not_unavailable() -> None:
    async with listening(None) as url, linked(url, 5) as link:
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
        async with linked(server.url, 5) as link:
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
        async with linked(server.url, 5) as link:
            shown = await link.pipeline([("SET", "k", "v"), ("LPUSH", "k", "1"), ("GET", "k")])
            assert [type(each) for each in shown[:2]] == [bool, WrongTypeError]
            assert shown[2] == b"v"
            assert await link.pipeline([]) == []
            with pytest.raises(WrongTypeError):
                await link.command("LPUSH", "k", "1")
            assert await link.command("GET", "k") == b"v"
