"""Simulated exchange with any number of symbols, and the account's positions from the start.

`python -m bench.exchange LATENCY_MS SYMBOLS [aside]`, until SIGTERM; the first line printed is the base
addresses. With `aside` the measured processes come first on a processor: alone on a machine they would not
share it.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import trio

from bench.account import holdings, symbols
from commands.simulate_exchange import serve_until_signalled
from simulator import SimulatedExchange, external_events
from simulator.private_streams import host_epoch_ms

_LONG_AGO_MS = 600_000
_ASIDE = 5


class _Clock:
    """Wall clock of this host, shifted back while the positions are opened."""

    def __init__(self) -> None:
        self.past_ms: int | None = host_epoch_ms() - _LONG_AGO_MS

    def __call__(self) -> int:
        return host_epoch_ms() if self.past_ms is None else self.past_ms


def exchange_with(count: int) -> SimulatedExchange:
    """Return an exchange of `count` symbols, on which the account has held `holdings` for minutes."""
    clock = _Clock()
    exchange = SimulatedExchange(symbols=symbols(count), host_ms=clock)
    for holding in holdings(count):
        if holding.amount:
            external_events.move_position(exchange, holding.symbol, target=holding.amount)
    clock.past_ms = None
    return exchange


if __name__ == "__main__":
    if "aside" in sys.argv[3:]:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(_ASIDE)
    exchange = exchange_with(int(sys.argv[2]))
    trio.run(partial(serve_until_signalled, exchange, latency_ms=float(sys.argv[1])))
