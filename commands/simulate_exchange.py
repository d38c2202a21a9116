"""The Binance stand-in as a process of its own."""

from __future__ import annotations

import signal
from functools import partial

import msgspec
import trio

from simulator import SimulatedExchange, serve


def simulate_exchange(rest_port: int, stream_port: int, latency_ms: float) -> int:
    """Serve on loopback until SIGTERM or SIGINT; the first line printed is the base addresses as JSON."""
    serving = partial(serve_until_signalled, rest_port=rest_port, stream_port=stream_port)
    trio.run(partial(serving, SimulatedExchange(), latency_ms=latency_ms))
    return 0


async def serve_until_signalled(
    exchange: SimulatedExchange, *, latency_ms: float, rest_port: int = 0, stream_port: int = 0
) -> None:
    """Serve on loopback, print the addresses as JSON, and end at SIGTERM or SIGINT."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            serving = partial(serve, exchange, rest_port=rest_port, stream_port=stream_port)
            addresses = await nursery.start(partial(serving, latency_ms=latency_ms))
            print(msgspec.json.encode(addresses).decode(), flush=True)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
