from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.commands.deployment import Capture
from tests.commands.measure.rig import Rig, rig


@pytest.fixture
async def measured(capsys: Capture) -> AsyncIterator[Rig]:
    """A simulator to measure at."""
    async with rig(capsys) as made:
        yield made
