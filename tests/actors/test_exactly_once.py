"""Plans, results, crashes and faults drawn by chance: one decision a plan, no position closed twice over."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.actors.evaluator_rig import SYMBOLS
from tests.actors.trading_neighbours import TradingNeighbours
from tests.actors.trading_world import TradingWorld

SEEDS = range(1, 13)
PLANS = 100


@pytest.mark.simulation
@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_breaks_each_plan_is_decided_once_and_each_fill_booked_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # The order in which trio runs what is due is part of the world.
    monkeypatch.setattr("trio._core._run._r", Random(seed))  # noqa: S311
    world = TradingWorld(seed)
    async with trio.open_nursery() as nursery:
        await world.live(nursery)
        async with trio.open_nursery() as trouble:
            trouble.start_soon(world.break_things)
            await TradingNeighbours(world).trade(PLANS)
            trouble.cancel_scope.cancel()
        await trio.sleep(30)

        assert world.decided.keys() == world.published.keys() - world.skipped
        assert world.pending() == 0
        for symbol in SYMBOLS:
            amount = world.exchange.rows[symbol][0]
            assert amount == world.before[symbol] + world.filled[symbol]
            assert Decimal(world.ledgers.amount(symbol) or "nan") == amount, symbol
        assert world.ledgers.dead() == []
        nursery.cancel_scope.cancel()
