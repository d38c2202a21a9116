"""The traders of the demo, and the tasks around them while they trade."""

from __future__ import annotations

from collections.abc import Container, Sequence
from decimal import Decimal
from typing import NamedTuple

import trio

from commands.demo.background import (
    keep_universe_current,
    pace_traders,
    publish_unusable_entries,
    watch_snapshots,
    watch_weight,
)
from commands.demo.children import COOLDOWN_SEC
from commands.demo.exchange_client import TradedSymbol
from commands.demo.stage import CUES, POSITION_STEPS, Stage
from commands.demo.trader import Desk, Trader
from commands.demo.view import Screen

PLANS_PER_SEC = 16.0
OUTSIDE_UNIVERSE = 3
#: A symbol that the universe service lists and the exchange does not.
NOT_LISTED = TradedSymbol("DEMOUSDT", Decimal(1), Decimal(1), Decimal(10))

_TRADED = 56
_DEAREST_STEP = Decimal(100)


class Traders(NamedTuple):
    """The traders of the scenarios, and those whose symbols are on stage."""

    desk: Desk
    trading: Sequence[Trader]
    on_stage: Sequence[Trader]

    def all(self) -> list[Trader]:
        return [*self.trading, *self.on_stage]


def make_traders(desk: Desk, symbols: Sequence[TradedSymbol], universe: Container[str]) -> Traders:
    """Create a trader for each symbol. Some begin with a position, which the daemon has to adopt.

    `universe`: the symbols that may be opened.
    """
    affordable = [row for row in symbols[:-OUTSIDE_UNIVERSE] if row.step * row.price < _DEAREST_STEP]
    staged, traded = affordable[: len(CUES)], affordable[len(CUES) : len(CUES) + _TRADED]

    def trader(symbol: TradedSymbol, steps: int = 0, **kind: bool) -> Trader:
        return Trader(desk, symbol, amount=symbol.step * steps, cooldown_sec=COOLDOWN_SEC, **kind)

    adopted = (POSITION_STEPS, -POSITION_STEPS, POSITION_STEPS, -POSITION_STEPS)
    first = [trader(symbol, steps) for symbol, steps in zip(traded, adopted, strict=False)]
    rest = [trader(symbol) for symbol in traded[len(first) :]]
    outside = [
        trader(symbol, steps, in_universe=False)
        for symbol, steps in zip(
            symbols[-OUTSIDE_UNIVERSE:], (POSITION_STEPS, -POSITION_STEPS, 0), strict=True
        )
    ]
    not_listed = trader(NOT_LISTED, listed=False, in_universe=NOT_LISTED.name in universe)
    sides = (-POSITION_STEPS, *[POSITION_STEPS] * (len(CUES) - 1))
    on_stage = [trader(symbol, steps) for symbol, steps in zip(staged, sides, strict=False)]
    return Traders(desk, [*first, *rest, *outside, not_listed], on_stage)


async def trade(
    traders: Traders,
    stage: Stage,
    symbols: Sequence[str],
    universe: Sequence[str] | None,
    screen: Screen,
    seconds: float | None,
    interrupted: trio.Event,
) -> None:
    """Trade until `interrupted` is set or `seconds` are over, and finish the plans that were begun.

    `universe`: what the played universe service publishes; None where the daemon publishes it.
    """
    desk = traders.desk
    services, tally = desk.services, desk.tally
    tickets, taken = trio.open_memory_channel[None](0)
    over = trio.Event()
    async with trio.open_nursery() as background:
        if universe is not None:
            background.start_soon(keep_universe_current, services, universe)
        background.start_soon(watch_snapshots, services, symbols, tally)
        background.start_soon(watch_weight, desk.exchange)
        background.start_soon(screen.show, tally, desk.watcher.record, stage, desk.exchange, seconds)
        async with trio.open_nursery() as nursery:
            for trader in traders.trading:
                nursery.start_soon(trader.run, taken.clone())
            nursery.start_soon(stage.run, seconds, interrupted)
            nursery.start_soon(pace_traders, tickets, PLANS_PER_SEC, over)
            nursery.start_soon(publish_unusable_entries, services, tally, desk.rng, over)
            with trio.move_on_after(float("inf") if seconds is None else seconds):
                await interrupted.wait()
            over.set()
        background.cancel_scope.cancel()
