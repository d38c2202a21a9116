from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from commands.clients.embedded_redis import private_redis

pytest_plugins = ("tests.marks", "tests.timing", "tests.virtual_time")


@pytest.fixture
async def redis_server() -> AsyncIterator[str]:
    """The URL of a fresh redis-server of the test's own."""
    async with private_redis() as url:
        yield url
