from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from simulator import RunningSimulator, running
from supervision import Heartbeat
from tests.background import background
from tests.integration.pipeline import Pipeline
from tests.integration.reconciled import Reconciled
from tests.integration.site import Site
from tests.integration.surroundings import small_exchange
from tests.monitoring.full_desk import full_desk
from tests.page.browser import Browser, browser


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """An exchange of 16 symbols on loopback, in the test's process."""
    async with running(small_exchange()) as started:
        yield started


@pytest.fixture
def pipeline(redis_server: str) -> Pipeline:
    return Pipeline(redis_server)


@pytest.fixture
def site(redis_server: str, simulator: RunningSimulator) -> Site:
    return Site(redis_server, simulator)


@pytest.fixture
def reconciled(redis_server: str, simulator: RunningSimulator) -> Reconciled:
    return Reconciled(redis_server, simulator)


@pytest.fixture
async def desk_url() -> AsyncIterator[str]:
    """The address of a service that stands still, and has something on each page."""
    rig = await full_desk()
    async with background(rig.metrics.run, Heartbeat()):
        yield await rig.channels.http_address.changed()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests: starting it takes longer than most of them."""
    with browser() as started:
        yield started
