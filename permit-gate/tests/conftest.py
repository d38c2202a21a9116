from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from gate_testing.flavours import FLAVOURS, Acquire, OpenGate
from gate_testing.redis_server import own_redis


@pytest.fixture
def redis_server() -> Iterator[str]:
    """The URL of a fresh redis-server of the test's own."""
    with own_redis() as server:
        yield server.url


@pytest.fixture(params=list(FLAVOURS))
def open_gate(request: pytest.FixtureRequest) -> OpenGate:
    """Opens a gate of each flavour: `async with open_gate(url, rules) as acquire`."""
    flavour: OpenGate = FLAVOURS[request.param]
    return flavour


@pytest.fixture
async def acquire(open_gate: OpenGate, redis_server: str) -> AsyncIterator[Acquire]:
    """`acquire` of a gate at the test's own Redis, with the usual rules."""
    async with open_gate(redis_server) as acquire:
        yield acquire


@pytest.fixture
def store(redis_server: str) -> redis.Redis:
    """The client that issuers and operators write with."""
    return redis.Redis.from_url(redis_server)
