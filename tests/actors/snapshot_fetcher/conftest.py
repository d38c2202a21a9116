from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.actors.fetcher_rig import FetcherRig, trusted_fetcher


@pytest.fixture
def rig() -> FetcherRig:
    return FetcherRig()


@pytest.fixture
async def trusted_rig(rig: FetcherRig) -> AsyncIterator[FetcherRig]:
    """Yields a rig whose fetcher runs, has read 0.5 BTC and trusts its stream."""
    rig.exchange.set("BTCUSDT", "0.5")
    async with trusted_fetcher(rig):
        yield rig
