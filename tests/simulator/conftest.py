from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
import trio
from trio_websocket import WebSocketConnection, connect_websocket_url

from simulator import RunningSimulator, SimulatedExchange, StreamServer, running
from tests.simulator.clients import HandClock, HttpClient


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def exchange(clock: HandClock) -> SimulatedExchange:
    """An exchange whose time stands still, in process."""
    return SimulatedExchange(host_ms=clock)


@contextmanager
def patience() -> Iterator[None]:
    """Let a hung test fail instead of hanging the run."""
    with trio.fail_after(5):
        yield


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A simulator on loopback ports, on the host's own clock."""
    exchange = SimulatedExchange()
    async with running(exchange, streams=StreamServer(exchange, mark_price_interval_sec=0.02)) as started:
        with patience():
            yield started


@pytest.fixture
async def websocket(client: HttpClient) -> AsyncIterator[WebSocketConnection]:
    """An open private stream; left without waiting for a closing handshake."""
    async with trio.open_nursery() as nursery:
        yield await connect_websocket_url(nursery, await client.stream_url(), message_queue_size=1000)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[HttpClient]:
    async with httpx.AsyncClient(base_url=simulator.addresses.rest_url) as http:
        yield HttpClient(simulator, http)
