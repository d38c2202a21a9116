from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from commands.clients.embedded_redis import private_redis

pytest_plugins = ("tests.garbage", "tests.marks", "tests.timing", "tests.virtual_time")

# Tests share the processors: the time of an example says nothing. The examples of a test share its clock.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("house")


@pytest.fixture
async def redis_server() -> AsyncIterator[str]:
    """The URL of a fresh redis-server of the test's own."""
    async with private_redis() as url:
        yield url
