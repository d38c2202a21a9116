from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from commands.clients.embedded_redis import private_redis
from tests.system_tools import (
    pytest_collection_modifyitems as pytest_collection_modifyitems,
)
from tests.system_tools import (
    pytest_configure as pytest_configure,
)
from tests.system_tools import (
    pytest_terminal_summary as pytest_terminal_summary,
)

pytest_plugins = ("tests.browser_tests", "tests.virtual_time")


@pytest.fixture
async def redis_server() -> AsyncIterator[str]:
    """The URL of a fresh redis-server of the test's own."""
    async with private_redis() as url:
        yield url
