from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.commands.measure.rig import Rig, rig


@pytest.fixture
async def measured() -> AsyncIterator[Rig]:
    """A simulator to measure at."""
    async with rig() as made:
        yield made
