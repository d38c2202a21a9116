"""Run of the demo: set-up, trading, summary and clean-up."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import BinaryIO, Protocol

import httpx
import trio
from rich.console import Console

from commands.clients.embedded_redis import private_redis_server
from commands.demo.accounting import Caused
from commands.demo.background import count_dead_letters
from commands.demo.children import (
    API_KEY,
    API_SECRET,
    COOLDOWN_SEC,
    STOP_SEC,
    ChildTooSlowError,
    Waiting,
    count_listed,
    running_daemon,
    running_exchange,
)
from commands.demo.exchange_client import ExchangeClient
from commands.demo.executors import Executor
from commands.demo.failures import FAILURES, as_ending
from commands.demo.final_check import check_final_state
from commands.demo.machine_load import LoadMeter, NotInTimeError
from commands.demo.other_services import OtherServices
from commands.demo.output import Output
from commands.demo.played_executor import PlayedExecutor
from commands.demo.record import Record
from commands.demo.recording import record_decisions
from commands.demo.roles import Role, played_text, roles_text, switches_of
from commands.demo.service_executor import ServiceExecutor
from commands.demo.stage import Stage
from commands.demo.summary import Conclusion, summarise
from commands.demo.tally import Tally
from commands.demo.trader import Desk
from commands.demo.trading import (
    NOT_LISTED,
    OUTSIDE_UNIVERSE,
    PLANS_PER_SEC,
    make_traders,
    trade,
)
from commands.demo.view import Screen
from commands.demo.watcher import Watcher
from permit_gate import GateRules
from permit_gate.bridge import trio_asyncio
from permit_gate.trio_gate import open_trio_gate
from store.errors import StoreError
from store.redis.client import RedisLink

LATENCY_MS = 300.0

#: Above the longest patience: what does not answer by then has ended, or never will.
_ANSWER_SEC = 30.0
_GATE_COMMAND_SEC = 5.0
_ENDS_WITHIN_SEC = 0.5


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


async def run_demo(
    seconds: float | None,
    roles: frozenset[Role],
    console: Console,
    output: Output,
    recording: BinaryIO | None = None,
) -> Conclusion | None:
    """Set up, trade for `seconds` or until a signal, sum up and clean up; the decisions go to `recording`.

    The daemon has `roles`, the demo plays all others. Returns the conclusion; None when it was interrupted,
    or when nothing more can be written to `output`.
    Raises DemoFailedError and DemoInconclusiveError.
    """
    interruption = Interruption()
    output.on_error = interruption.scope.cancel
    meter = LoadMeter()
    conclusion: Conclusion | None = None
    with trio.open_signal_receiver(*_handled_signals()) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interruption.watch, aiter(signals))
            nursery.start_soon(meter.run)
            with interruption.scope:
                try:
                    conclusion = await _run(seconds, roles, Screen(console), interruption, meter, recording)
                except* FAILURES as group:
                    raise as_ending(group, meter.now) from group
            nursery.cancel_scope.cancel()
    return conclusion


def _handled_signals() -> list[signal.Signals]:
    """Return the signals that end the demo; `nohup` ignores SIGHUP, and that stays."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [one for one in ending if signal.getsignal(one) is not signal.SIG_IGN]


async def _run(
    seconds: float | None,
    roles: frozenset[Role],
    screen: Screen,
    interruption: Interruption,
    meter: LoadMeter,
    recording: BinaryIO | None,
) -> Conclusion:
    async with AsyncExitStack() as stack:
        screen.say(
            "Starting redis-server, the simulated exchange, the daemon and the other services: about 10 s"
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="position-state-brain-demo-")))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                trust_env=False,
                timeout=_ANSWER_SEC,
                limits=httpx.Limits(max_connections=100, keepalive_expiry=30),
            )
        )
        server = await stack.enter_async_context(private_redis_server(append_only=True))
        await stack.enter_async_context(watched(server))
        screen.say_up("a private redis-server")
        simulator, addresses = await stack.enter_async_context(
            running_exchange(folder, Waiting(meter, screen.say), latency_ms=LATENCY_MS)
        )
        await stack.enter_async_context(watched(simulator))
        exchange = ExchangeClient(http, addresses.rest_url, API_KEY, API_SECRET)
        symbols = await exchange.symbols()
        screen.say_up("the simulated exchange")

        await stack.enter_async_context(trio_asyncio.open_loop())
        redis = RedisLink(server.url, timeout_sec=_ANSWER_SEC)
        stack.push_async_callback(redis.close)
        services = OtherServices(redis, meter, own_bridge=Role.INTENT_BRIDGE in roles)
        tally = Tally(lambda: meter.now)
        rng = Random()  # noqa: S311 - no secrets
        listed, outside = symbols[:-OUTSIDE_UNIVERSE], symbols[-OUTSIDE_UNIVERSE:]
        universe = [row.name for row in listed]
        if Role.UNIVERSE not in roles:
            universe.append(NOT_LISTED.name)
            await services.publish_universe(universe)
        record = Record()
        reads = RedisLink(server.url, timeout_sec=_ANSWER_SEC, beside=redis)
        stack.push_async_callback(reads.close)
        watcher = Watcher(reads, record, meter)
        await stack.enter_async_context(watcher.running())
        executor: Executor
        if Role.EXECUTOR in roles:
            executor = ServiceExecutor(watcher, services, tally)
        else:
            gate = await stack.enter_async_context(
                open_trio_gate(server.url, GateRules(consumer="demo"), command_timeout_sec=_GATE_COMMAND_SEC)
            )
            executor = played = PlayedExecutor(services, gate, exchange, tally, rng, meter, record)
            await played.warm_up(NOT_LISTED.name)
        desk = Desk(
            services,
            executor,
            exchange,
            tally,
            rng,
            meter,
            watcher,
            own_governor=Role.GOVERNOR in roles,
            own_reconcile=Role.RECONCILE in roles,
            own_bridge=Role.INTENT_BRIDGE in roles,
            own_executor=Role.EXECUTOR in roles,
        )
        traders = make_traders(desk, symbols, universe)
        for trader in traders.all():
            if trader.amount:
                await exchange.move_position(trader.symbol.name, trader.amount)
        screen.say_up(f"the other services: {played_text(roles)}")

        daemon_since_ms = time.time_ns() // 1_000_000
        switches = switches_of(roles, outside_universe=[row.name for row in outside])
        daemon, daemon_url = await stack.enter_async_context(
            running_daemon(folder, server.url, addresses, switches)
        )
        await stack.enter_async_context(watched(daemon))
        await daemon.wait_until_ready(http, daemon_url, Waiting(meter, screen.say))
        names = [row.name for row in symbols]
        if roles & {Role.EXECUTOR, Role.GOVERNOR}:
            try:
                await services.wait_for_prices(names)
            except NotInTimeError as error:
                raise ChildTooSlowError(f"the daemon did not read in time: {error}") from error
        own = f", in the {roles_text(roles)}" if roles else ""
        screen.say_up(f"the daemon, with an environment of its own{own}")
        pace = f"{PLANS_PER_SEC:g} {'intents' if Role.INTENT_BRIDGE in roles else 'plans'}/s"
        screen.say(
            f"Ready: {len(symbols)} symbols, REST answers after {LATENCY_MS:g} ms, {pace},"
            f" cooldown {COOLDOWN_SEC} s instead of 15 s (P33_COOLDOWN_SEC)"
        )
        screen.say(f"The page, while this runs: {daemon_url}/")
        interruption.running = True
        began_sec = trio.current_time()
        republished = None if Role.UNIVERSE in roles else universe
        stage = Stage(desk, traders.on_stage, screen.say_plainly)
        if republished is None:
            stage.listed = partial(count_listed, http, daemon_url)
        await trade(traders, stage, names, republished, screen, seconds, interruption.requested)
        caused = Caused(stage.open, frozenset(stage.unfinished))
        final_check = await check_final_state(services, exchange, names, meter, record, caused)
        dead = await count_dead_letters(services)
        costs = (await exchange.request_log(daemon_since_ms)).records
        exit_code = await daemon.stop(meter.stretched(STOP_SEC))
        if recording is not None:
            await trio.to_thread.run_sync(record_decisions, server.url, recording)
        summary = summarise(
            tally,
            record,
            final_check,
            costs,
            dead_letters=dead,
            daemon_exit_code=exit_code,
            duration_sec=trio.current_time() - began_sec,
            load=meter.now,
        )
        screen.conclude(summary)
        return summary.conclusion


class Part(Protocol):
    """A process of the demo."""

    async def ended(self) -> Exception:
        """Wait until it ends by itself; return that as an error."""


@asynccontextmanager
async def watched(part: Part) -> AsyncIterator[None]:
    """Cancel the block with the part's error if the part ends during it.

    An error of Redis or HTTP may come from such an end, which is seen a moment later.
    """

    async def watch() -> None:
        raise await part.ended()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            yield
        except* (StoreError, httpx.HTTPError):
            with trio.move_on_after(_ENDS_WITHIN_SEC):
                raise await part.ended() from None
            raise
        nursery.cancel_scope.cancel()
