"""Run of the demo: set-up, trading, summary and clean-up."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

import httpx
import trio
import trio_asyncio
from rich.console import Console

from brain.error_groups import first_error
from commands.clients.embedded_redis import private_redis
from commands.demo.background import (
    count_dead_letters,
    keep_universe_current,
    pace_traders,
    publish_unusable_entries,
    watch_snapshots,
)
from commands.demo.children import (
    API_KEY,
    API_SECRET,
    COOLDOWN_SEC,
    Child,
    ChildFailedError,
    running_daemon,
    running_exchange,
)
from commands.demo.drift_scenario import run_drifts
from commands.demo.exchange_client import ExchangeClient, TradedSymbol
from commands.demo.final_check import check_final_state
from commands.demo.other_services import OtherServices
from commands.demo.recording import record_decisions
from commands.demo.summary import summarise
from commands.demo.tally import Tally
from commands.demo.trader import Desk, Trader
from commands.demo.view import Screen
from permit_gate import P33, GateRules
from permit_gate.trio_gate import TrioPermitGate, open_trio_gate
from store.errors import StoreError
from store.redis.client import RedisLink

LATENCY_MS = 300.0
PLANS_PER_SEC = 30.0

_REDIS_TIMEOUT_SEC = 5.0
_TRADED = 56
_GATE_CONNECTIONS = 16
_OUTSIDE_UNIVERSE = 3
_NOT_LISTED = TradedSymbol("DEMOUSDT", Decimal(1), Decimal(1), Decimal(10))
_ADOPTED_STEPS = 40
_DEAREST_STEP = Decimal(100)


class DemoFailedError(Exception):
    """The demo could not be run to its end."""


class Interruption:
    """State of Ctrl-C: the first one ends the demo in order, a second one at once."""

    def __init__(self) -> None:
        self.requested = trio.Event()
        self.running = False
        self.scope = trio.CancelScope()

    async def watch(self, signals: AsyncIterator[int]) -> None:
        """Handle SIGINT, SIGTERM and SIGHUP."""
        async for _ in signals:
            if self.requested.is_set() or not self.running:
                self.scope.cancel()
            self.requested.set()


async def run_demo(seconds: float | None, console: Console, recording: BinaryIO | None = None) -> bool | None:
    """Set up, trade for `seconds` or until a signal, sum up and clean up; the decisions go to `recording`.

    Returns whether all was as expected; None when it was interrupted. Raises DemoFailedError and what the
    private Redis raises.
    """
    interruption = Interruption()
    agreed: bool | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interruption.watch, aiter(signals))
            with interruption.scope:
                try:
                    agreed = await _run(seconds, Screen(console), interruption, recording)
                except* (ChildFailedError, httpx.HTTPError, StoreError) as group:
                    raise DemoFailedError(_first_leaf(group)) from group
            nursery.cancel_scope.cancel()
    return agreed


async def _run(
    seconds: float | None, screen: Screen, interruption: Interruption, recording: BinaryIO | None
) -> bool:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="position-state-brain-demo-")))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                trust_env=False, timeout=10, limits=httpx.Limits(max_connections=100, keepalive_expiry=30)
            )
        )
        screen.say("Starting a private redis-server and the simulated exchange")
        redis_url = await stack.enter_async_context(private_redis(append_only=True))
        simulator, addresses = await stack.enter_async_context(
            running_exchange(folder, latency_ms=LATENCY_MS)
        )
        exchange = ExchangeClient(http, addresses.rest_url, API_KEY, API_SECRET)
        symbols = await exchange.symbols()

        await stack.enter_async_context(trio_asyncio.open_loop())
        redis = RedisLink(redis_url, timeout_sec=_REDIS_TIMEOUT_SEC)
        stack.push_async_callback(redis.close)
        gate = await stack.enter_async_context(open_trio_gate(redis_url, GateRules(consumer="demo")))
        services = OtherServices(redis)
        universe = [row.name for row in symbols[:-_OUTSIDE_UNIVERSE]]
        await services.publish_universe([*universe, _NOT_LISTED.name])

        desk = Desk(services, gate, exchange, Tally(), Random())  # noqa: S311 - no secrets
        traders = _make_traders(desk, symbols)
        for trader in traders.all():
            if trader.amount:
                await exchange.move_position(trader.symbol.name, trader.amount)

        screen.say("Starting the daemon, with an environment of its own")
        daemon_since_ms = time.time_ns() // 1_000_000
        daemon, daemon_url = await stack.enter_async_context(running_daemon(folder, redis_url, addresses))
        await daemon.wait_until_ready(http, f"{daemon_url}/readyz", say=screen.say)
        screen.say(
            f"Ready: {len(symbols)} symbols, REST answers after {LATENCY_MS:g} ms, {PLANS_PER_SEC:g} plans/s,"
            f" cooldown {COOLDOWN_SEC} s instead of 15 s (P33_COOLDOWN_SEC)"
        )
        screen.say(f"The page, while this runs: {daemon_url}/")
        await _warm_up(gate)
        interruption.running = True
        began_sec = trio.current_time()
        async with watched(daemon), watched(simulator):
            await _trade(traders, symbols, universe, screen, seconds, interruption.requested)
            names = [row.name for row in symbols]
            final_check = await check_final_state(services, exchange, names)
            dead = await count_dead_letters(services)
            costs = await exchange.request_costs(daemon_since_ms)
        exit_code = await daemon.stop()
        if recording is not None:
            await trio.to_thread.run_sync(record_decisions, redis_url, recording)
        summary = summarise(
            desk.tally,
            final_check,
            costs,
            dead_letters=dead,
            daemon_exit_code=exit_code,
            duration_sec=trio.current_time() - began_sec,
        )
        screen.conclude(summary)
        return summary.agrees


class Traders(NamedTuple):
    """The traders of the scenarios, and those of the drifts."""

    desk: Desk
    trading: Sequence[Trader]
    drifting: Sequence[Trader]

    def all(self) -> list[Trader]:
        return [*self.trading, *self.drifting]


def _make_traders(desk: Desk, symbols: Sequence[TradedSymbol]) -> Traders:
    """Create a trader for each symbol. Some begin with a position, which the daemon has to adopt."""
    affordable = [row for row in symbols[:-_OUTSIDE_UNIVERSE] if row.step * row.price < _DEAREST_STEP]
    drifting, traded = affordable[:2], affordable[2 : 2 + _TRADED]

    def trader(symbol: TradedSymbol, steps: int = 0, **kind: bool) -> Trader:
        return Trader(desk, symbol, amount=symbol.step * steps, cooldown_sec=COOLDOWN_SEC, **kind)

    adopted = (_ADOPTED_STEPS, -_ADOPTED_STEPS, _ADOPTED_STEPS, -_ADOPTED_STEPS)
    first = [trader(symbol, steps) for symbol, steps in zip(traded, adopted, strict=False)]
    rest = [trader(symbol) for symbol in traded[len(first) :]]
    outside = [
        trader(symbol, steps, in_universe=False)
        for symbol, steps in zip(
            symbols[-_OUTSIDE_UNIVERSE:], (_ADOPTED_STEPS, -_ADOPTED_STEPS, 0), strict=True
        )
    ]
    not_listed = trader(_NOT_LISTED, listed=False)
    drifters = [trader(symbol, steps) for symbol, steps in zip(drifting, (0, -_ADOPTED_STEPS), strict=False)]
    return Traders(desk, [*first, *rest, *outside, not_listed], drifters)


async def _warm_up(gate: TrioPermitGate) -> None:
    """Open the gate's connections, as in an executor that has been running for a while."""
    async with trio.open_nursery() as nursery:
        for number in range(_GATE_CONNECTIONS):
            nursery.start_soon(
                partial(gate.acquire, f"warm-up-{number}", _NOT_LISTED.name, (P33,), timeout_sec=0.05)
            )


async def _trade(
    traders: Traders,
    symbols: Sequence[TradedSymbol],
    universe: Sequence[str],
    screen: Screen,
    seconds: float | None,
    stopping: trio.Event,
) -> None:
    """Trade until `stopping` is set or `seconds` are over, and finish the plans that were begun."""
    desk = traders.desk
    services, tally = desk.services, desk.tally
    tickets, taken = trio.open_memory_channel[None](0)
    async with trio.open_nursery() as background:
        background.start_soon(keep_universe_current, services, [*universe, _NOT_LISTED.name])
        background.start_soon(watch_snapshots, services, [row.name for row in symbols], tally)
        background.start_soon(screen.show, tally, desk.exchange)
        async with trio.open_nursery() as nursery:
            for trader in traders.trading:
                nursery.start_soon(trader.run, taken.clone())
            for trader in traders.drifting:
                nursery.start_soon(run_drifts, desk, trader, stopping)
            nursery.start_soon(pace_traders, tickets, PLANS_PER_SEC, stopping)
            nursery.start_soon(publish_unusable_entries, services, tally, desk.rng, stopping)
            with trio.move_on_after(float("inf") if seconds is None else seconds):
                await stopping.wait()
            stopping.set()
        background.cancel_scope.cancel()


def _first_leaf(error: BaseException) -> str:
    """Return the text of the first error in nested groups."""
    error = first_error(error)
    text = str(error) or type(error).__name__
    return f"Redis: {text}" if isinstance(error, StoreError) else text


@asynccontextmanager
async def watched(child: Child) -> AsyncIterator[None]:
    """Cancel the block with ChildFailedError if the child ends during it."""

    async def watch() -> None:
        raise await child.ended()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield
        nursery.cancel_scope.cancel()
