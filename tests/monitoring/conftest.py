from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.monitoring.status_rig import StatusRig, serving


@pytest.fixture
def rig() -> StatusRig:
    return StatusRig()


@pytest.fixture
async def client(rig: StatusRig) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of what the metrics actor of `rig` serves."""
    async with serving(rig) as client:
        yield client
