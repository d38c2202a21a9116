from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.commands.recording import Recording, recording


@pytest.fixture
async def service(redis_server: str) -> AsyncIterator[Recording]:
    """The service's side of a fresh Redis."""
    async with recording(redis_server) as rig:
        yield rig
