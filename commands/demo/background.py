"""Background tasks of the demo: pace, universe, reads of snapshots and weight, unusable entries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from statistics import median

import trio

from commands.demo.exchange_client import ExchangeClient
from commands.demo.keys import KEYS
from commands.demo.other_services import OtherServices
from commands.demo.tally import Tally

_UNIVERSE_SEC = 60.0
_LOOK_SEC = 1.0
_WEIGHT_SEC = 2.0
_UNUSABLE_SEC = 2.0


async def pace_traders(tickets: trio.MemorySendChannel[None], per_sec: float, stopping: trio.Event) -> None:
    """Hand out `per_sec` tickets a second to the traders, each to the first that is free, until stopped."""
    async with tickets:
        due_sec = trio.current_time()
        while not stopping.is_set():
            await tickets.send(None)
            due_sec = max(due_sec + 1 / per_sec, trio.current_time() - 1)
            with trio.move_on_at(due_sec):
                await stopping.wait()


async def keep_universe_current(services: OtherServices, symbols: Sequence[str]) -> None:
    """Publish the universe service's list once a minute."""
    while True:
        await trio.sleep(_UNIVERSE_SEC)
        await services.publish_universe(symbols)


async def watch_snapshots(services: OtherServices, symbols: Sequence[str], tally: Tally) -> None:
    """Measure the ages of all symbols' snapshots, by their `ts_epoch_ms`, once a second."""
    while True:
        stored = await services.read_symbols(symbols)
        now_ms = time.time_ns() // 1_000_000
        ages_sec = [(now_ms - one.snapshot_ms) / 1000 for one in stored if one.snapshot_ms is not None]
        if len(ages_sec) < len(symbols):
            tally.not_in_time(f"{len(symbols) - len(ages_sec)} symbols without a snapshot")
        if ages_sec:
            tally.oldest_snapshot_sec.append(max(ages_sec))
            tally.median_snapshot_sec.append(median(ages_sec))
        await trio.sleep(_LOOK_SEC)


async def watch_weight(exchange: ExchangeClient) -> None:
    """Read the used request weight every 2 s."""
    while True:
        await exchange.read_used_weight()
        await trio.sleep(_WEIGHT_SEC)


async def publish_unusable_entries(
    services: OtherServices, tally: Tally, rng: Random, stopping: trio.Event
) -> None:
    """Publish plans that cannot be answered and results that cannot be booked: each is a dead letter."""
    results = (
        {"plan_id": "a", "symbol": "BTCUSDT", "executed": "true", "filled_qty": "1"},
        {"plan_id": "a", "symbol": "BTCUSDT", "executed": "True", "steps_results": "[{"},
    )
    while not stopping.is_set():
        foreign = {"plan_id": f"p33:{rng.getrandbits(64):016x}", "symbol": "BTCUSDT"}
        await services.publish_plan(rng.choice(({"symbol": "BTCUSDT", "decision": "EXECUTE"}, foreign)))
        await services.publish_result(rng.choice(results))
        tally.unusable_entries += 2
        with trio.move_on_after(_UNUSABLE_SEC):
            await stopping.wait()


async def count_dead_letters(services: OtherServices) -> int:
    """Count the dead letters that the daemon has written."""
    plans = await services.stream_length(KEYS.dead_plans)
    return plans + await services.stream_length(KEYS.dead_results)
