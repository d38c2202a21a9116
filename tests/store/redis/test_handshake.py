"""A server that refuses a connection before it has read anything: its reason is in the error each time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from store.errors import StoreUnavailableError
from tests.store.redis.links import linked, serving
from tests.store.redis_servers import known_servers, running

SERVERS = known_servers()
TIMEOUT_SEC = 5.0
#: The server closes before the first write, or after it.
TIMES = 30


@pytest.mark.parametrize("program", SERVERS.values(), ids=SERVERS)
async def test_a_connection_beyond_maxclients_is_refused_in_the_words_of_redis(program: Path) -> None:
    with running(program) as server, server.client() as other:
        other.config_set("maxclients", 1)
        async with linked(server.url, TIMEOUT_SEC) as link:
            for _ in range(TIMES):
                with pytest.raises(StoreUnavailableError, match=r"^max number of clients reached$"):
                    await link.command("PING")
            other.config_set("maxclients", 10)
            assert await link.command("ECHO", "back") == b"back"


@asynccontextmanager
async def closing(said: bytes) -> AsyncIterator[str]:
    """Run a server on TCP that says this to each client and closes."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            if said:
                await stream.send_all(said)

    async with serving(serve) as url:
        yield url


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (b"-ERR max number of clients reached\r\n", "^max number of clients reached$"),
        (b"-DENIED Redis is running in protected mode\r\n", "^DENIED Redis is running in protected mode$"),
        (b"-ERR cut off", "onnect|clos"),
        (b"", "onnect|clos"),
    ],
)
async def test_a_server_that_closes_at_once_is_quoted_where_it_gave_a_reason(said: bytes, named: str) -> None:
    async with closing(said) as url, linked(url, TIMEOUT_SEC) as link:
        for _ in range(TIMES):
            with pytest.raises(StoreUnavailableError, match=named):
                await link.command("PING")


@pytest.mark.parametrize("program", SERVERS.values(), ids=SERVERS)
async def test_commands_share_the_connections_there_are_while_the_server_takes_no_more(program: Path) -> None:
    with running(program) as server, server.client() as other:
        async with linked(server.url, TIMEOUT_SEC) as link:
            await link.command("PING")
            other.config_set("maxclients", 1)
            answers: list[int] = []

            async def ask(number: int) -> None:
                answers.append(int(await link.command("ECHO", number)))

            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(ask, number)
            assert sorted(answers) == list(range(50))
