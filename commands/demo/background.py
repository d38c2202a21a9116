"""What goes on beside the traders: tickets, the universe, looks at the snapshots, entries nobody can use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from statistics import median

import trio

from commands.demo.other_services import PLANS, RESULTS, Neighbours
from commands.demo.tally import Tally

_UNIVERSE_SEC = 60.0
_LOOK_SEC = 1.0
_UNUSABLE_SEC = 2.0


async def hand_out_tickets(
    tickets: trio.MemorySendChannel[None], per_sec: float, stopping: trio.Event
) -> None:
    """Pace all traders together, and send them home in the end: whoever is free first has the next ticket."""
    async with tickets:
        due_sec = trio.current_time()
        while not stopping.is_set():
            await tickets.send(None)
            due_sec = max(due_sec + 1 / per_sec, trio.current_time() - 1)
            with trio.move_on_at(due_sec):
                await stopping.wait()


async def keep_universe_current(neighbours: Neighbours, symbols: Sequence[str]) -> None:
    """The universe service publishes its list once a minute."""
    while True:
        await trio.sleep(_UNIVERSE_SEC)
        await neighbours.publish_universe(symbols)


async def watch_snapshots(neighbours: Neighbours, symbols: Sequence[str], tally: Tally) -> None:
    """How old the snapshots of all symbols are, by their `ts_epoch_ms`, once a second."""
    while True:
        beliefs = await neighbours.beliefs(symbols)
        now_ms = time.time_ns() // 1_000_000
        ages_sec = [(now_ms - one.snapshot_ms) / 1000 for one in beliefs if one.snapshot_ms is not None]
        if len(ages_sec) < len(symbols):
            tally.surprise(f"{len(symbols) - len(ages_sec)} symbols without a snapshot")
        if ages_sec:
            tally.oldest_snapshot_sec.append(max(ages_sec))
            tally.median_snapshot_sec.append(median(ages_sec))
        await trio.sleep(_LOOK_SEC)


async def publish_unusable_entries(
    neighbours: Neighbours, tally: Tally, rng: Random, stopping: trio.Event
) -> None:
    """Plans that nobody can be answered for and results that cannot be booked: each is a dead letter."""
    plans = ({"symbol": "BTCUSDT", "decision": "EXECUTE"}, {"plan_id": "p33:abc", "symbol": "BTCUSDT"})
    results = (
        {"plan_id": "a", "symbol": "BTCUSDT", "executed": "true", "filled_qty": "1"},
        {"plan_id": "a", "symbol": "BTCUSDT", "executed": "True", "steps_results": "[{"},
    )
    while not stopping.is_set():
        await neighbours.publish_plans([rng.choice(plans)], [])
        await neighbours.publish_result(rng.choice(results))
        tally.unusable_entries += 2
        with trio.move_on_after(_UNUSABLE_SEC):
            await stopping.wait()


async def dead_letters(neighbours: Neighbours) -> int:
    """How many dead letters the daemon has written."""
    return await neighbours.stream_length(f"{PLANS}.dead") + await neighbours.stream_length(f"{RESULTS}.dead")
