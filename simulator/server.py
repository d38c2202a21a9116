"""Server of a simulated exchange: REST and streams, each on a loopback port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from math import inf

import msgspec
import trio

from simulator.exchange import SimulatedExchange
from simulator.faulty_sockets import listen
from simulator.rest_server import serve_rest
from simulator.stream_server import StreamServer


class SimulatorAddresses(msgspec.Struct, frozen=True):
    """Base addresses, fit for ``BINANCE_REST_URL`` and ``BINANCE_WS_URL``."""

    rest_url: str
    ws_url: str


class RunningSimulator(msgspec.Struct, frozen=True):
    """A simulator in this process: its account, its streams (to freeze, reset …), its addresses."""

    exchange: SimulatedExchange
    streams: StreamServer
    addresses: SimulatorAddresses


async def serve(
    exchange: SimulatedExchange,
    *,
    rest_port: int = 0,
    stream_port: int = 0,
    host: str = "127.0.0.1",
    latency_ms: float | None = None,
    streams: StreamServer | None = None,
    task_status: trio.TaskStatus[SimulatorAddresses] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; ``await nursery.start(serve, exchange)`` returns the addresses.

    Port 0 takes a free one. ``latency_ms`` sets the REST latency (a fault, changeable later). ``ValueError``
    for a host that is not a loopback address, ``OSError`` for a port that is taken.
    """
    if not ip_address(host).is_loopback:
        raise ValueError(f"the simulator listens on loopback only, not on {host}")
    if latency_ms is not None:
        exchange.faults.rest_latency_ms = latency_ms
    streams = StreamServer(exchange) if streams is None else streams
    async with (
        await listen(host, rest_port) as rest,
        await listen(host, stream_port) as stream,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(streams.serve, stream)
        await nursery.start(serve_rest, exchange, streams, rest)
        nursery.start_soon(keep_advancing, exchange)
        authority = f"[{host}]" if ":" in host else host
        task_status.started(
            SimulatorAddresses(
                rest_url=f"http://{authority}:{rest.port}", ws_url=f"ws://{authority}:{stream.port}"
            )
        )


async def keep_advancing(exchange: SimulatedExchange) -> None:
    """Let what is due happen at its moment, until cancelled: in real time, or in trio's virtual time."""
    while True:
        added = trio.Event()
        exchange.due.on_added = added.set
        exchange.advance()
        due_ms = exchange.due.next_ms
        # The clock has gone on since `advance`.
        wait_sec = inf if due_ms is None else max(due_ms - exchange.host_ms(), 0) / 1000
        with trio.move_on_after(wait_sec):
            await added.wait()


@asynccontextmanager
async def running(
    exchange: SimulatedExchange | None = None,
    *,
    streams: StreamServer | None = None,
    latency_ms: float | None = None,
) -> AsyncIterator[RunningSimulator]:
    """Run a simulator for the length of a block, on free ports; close everything afterwards."""
    exchange = SimulatedExchange() if exchange is None else exchange
    streams = StreamServer(exchange) if streams is None else streams
    async with trio.open_nursery() as nursery:
        serving = partial(serve, exchange, streams=streams, latency_ms=latency_ms)
        addresses: SimulatorAddresses = await nursery.start(serving)
        yield RunningSimulator(exchange, streams, addresses)
        nursery.cancel_scope.cancel()
