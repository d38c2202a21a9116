"""The Binance stand-in as a process of its own."""

from __future__ import annotations

import signal
from functools import partial

import msgspec
import trio

from simulator import SimulatedExchange, serve


def simulate_exchange(rest_port: int, stream_port: int, latency_ms: float) -> int:
    """Serve on loopback until SIGTERM or SIGINT; the first line printed is the base addresses as JSON."""
    trio.run(_serve_until_signalled, rest_port, stream_port, latency_ms)
    return 0


async def _serve_until_signalled(rest_port: int, stream_port: int, latency_ms: float) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            addresses = await nursery.start(
                partial(
                    serve,
                    SimulatedExchange(),
                    rest_port=rest_port,
                    stream_port=stream_port,
                    latency_ms=latency_ms,
                )
            )
            print(msgspec.json.encode(addresses).decode(), flush=True)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
