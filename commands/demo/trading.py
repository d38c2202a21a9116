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
from commands.demo.drift_scenario import run_drifts
from commands.demo.exchange_client import TradedSymbol
from commands.demo.trader import Desk, Trader
from commands.demo.view import Screen

PLANS_PER_SEC = 30.0
OUTSIDE_UNIVERSE = 3
#: A symbol that the universe service lists and the exchange does not.
NOT_LISTED = TradedSymbol("DEMOUSDT", Decimal(1), Decimal(1), Decimal(10))

_TRADED = 56
_ADOPTED_STEPS = 40
_DEAREST_STEP = Decimal(100)


class Traders(NamedTuple):
    """The traders of the scenarios, and those of the drifts."""

    desk: Desk
    trading: Sequence[Trader]
    drifting: Sequence[Trader]

    def all(self) -> list[Trader]:
        return [*self.trading, *self.drifting]


def make_traders(desk: Desk, symbols: Sequence[TradedSymbol], universe: Container[str]) -> Traders:
    """Create a trader for each symbol. Some begin with a position, which the daemon has to adopt.

    `universe`: the symbols that may be opened.
    """
    affordable = [row for row in symbols[:-OUTSIDE_UNIVERSE] if row.step * row.price < _DEAREST_STEP]
    drifting, traded = affordable[:2], affordable[2 : 2 + _TRADED]

    def trader(symbol: TradedSymbol, steps: int = 0, **kind: bool) -> Trader:
        return Trader(desk, symbol, amount=symbol.step * steps, cooldown_sec=COOLDOWN_SEC, **kind)

    adopted = (_ADOPTED_STEPS, -_ADOPTED_STEPS, _ADOPTED_STEPS, -_ADOPTED_STEPS)
    first = [trader(symbol, steps) for symbol, steps in zip(traded, adopted, strict=False)]
    rest = [trader(symbol) for symbol in traded[len(first) :]]
    outside = [
        trader(symbol, steps, in_universe=False)
        for symbol, steps in zip(
            symbols[-OUTSIDE_UNIVERSE:], (_ADOPTED_STEPS, -_ADOPTED_STEPS, 0), strict=True
        )
    ]
    not_listed = trader(NOT_LISTED, listed=False, in_universe=NOT_LISTED.name in universe)
    drifters = [trader(symbol, steps) for symbol, steps in zip(drifting, (0, -_ADOPTED_STEPS), strict=False)]
    return Traders(desk, [*first, *rest, *outside, not_listed], drifters)


async def trade(
    traders: Traders,
    symbols: Sequence[str],
    universe: Sequence[str] | None,
    screen: Screen,
    seconds: float | None,
    stopping: trio.Event,
) -> None:
    """Trade until `stopping` is set or `seconds` are over, and finish the plans that were begun.

    `universe`: what the played universe service publishes; None where the daemon publishes it.
    """
    desk = traders.desk
    services, tally = desk.services, desk.tally
    tickets, taken = trio.open_memory_channel[None](0)
    async with trio.open_nursery() as background:
        if universe is not None:
            background.start_soon(keep_universe_current, services, universe)
        background.start_soon(watch_snapshots, services, symbols, tally)
        background.start_soon(watch_weight, desk.exchange)
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
