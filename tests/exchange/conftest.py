from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from simulator import RunningSimulator, SimulatedExchange, running
from tests.exchange.parts import Counts, Parts


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with running(SimulatedExchange()) as started:
        with trio.fail_after(20):
            yield started


@pytest.fixture
async def parts(simulator: RunningSimulator) -> AsyncIterator[Parts]:
    """A REST client of the simulator, with the parts it shares with others."""
    made = Parts(simulator)
    async with made.rest:
        yield made


@pytest.fixture
def counts(parts: Parts) -> Counts:
    return Counts(parts.metrics)
