from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import trio

from commands.clients.embedded_redis import find_redis_server
from permit_gate.bridge import trio_asyncio
from store.execution_protocol import ServiceStore
from tests.store.backends import Backend, MemoryBackend, RedisBackend, redis_backend
from tests.store.redis_servers import RedisServer, known_servers, running
from tests.store.sides import Side

SERVERS = known_servers() or {"a-redis": find_redis_server()}
_PATIENCE_SEC = 60


class Servers:
    """One server of each kind, shared by the tests that do it no harm."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, RedisServer] = {}

    def __getitem__(self, name: str) -> RedisServer:
        if name not in self._running:
            self._running[name] = self._stack.enter_context(running(SERVERS[name]))
        return self._running[name]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(params=["memory", *SERVERS])
async def backend(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Backend]:
    """The twin and each redis-server in turn, empty."""
    with trio.fail_after(_PATIENCE_SEC):
        if request.param == "memory":
            yield MemoryBackend()
        else:
            async with trio_asyncio.open_loop(), redis_backend(servers[request.param]) as made:
                yield made


@pytest.fixture
def store(backend: Backend) -> ServiceStore:
    return backend.store


@pytest.fixture
async def leased(backend: Backend) -> Backend:
    """The same, with the lease taken."""
    await backend.take_lease()
    return backend


@pytest.fixture(params=["plans", "results"])
def side(request: pytest.FixtureRequest, leased: Backend) -> Side:
    return Side(leased, results=request.param == "results")


@pytest.fixture
def memory() -> MemoryBackend:
    """The twin alone."""
    return MemoryBackend()


@pytest.fixture(params=list(SERVERS))
async def real(request: pytest.FixtureRequest) -> AsyncIterator[RedisBackend]:
    """A server for one test alone, which may do to it what it likes."""
    with trio.fail_after(_PATIENCE_SEC), running(SERVERS[request.param], append_only=True) as server:
        async with trio_asyncio.open_loop(), redis_backend(server) as made:
            yield made


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server of each kind, for one test alone and without a store."""
    with running(SERVERS[request.param]) as started:
        yield started
