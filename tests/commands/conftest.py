from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.commands.deployment import Capture, Deployment, deployment
from tests.commands.recording import Recording, recording


@pytest.fixture
async def service(redis_server: str, capsys: Capture) -> AsyncIterator[Recording]:
    """The service's side of a fresh Redis."""
    async with recording(redis_server, capsys) as rig:
        yield rig


@pytest.fixture
async def deployed(capsys: Capture) -> AsyncIterator[Deployment]:
    """A Redis, an exchange and, where a test starts it, the service."""
    async with deployment(capsys) as made:
        yield made
