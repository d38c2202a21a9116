"""An order whose outcome is unknown covers its quantity until evidence, a later result, or the grace."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from brain.permit import Reason
from tests.actors.unknown_world import ORDERED, POSITION, UnknownWorld, drawn_fate
from tests.brain.unknown_wordings import UNKNOWN

ROUNDS = 200


@pytest.mark.parametrize("wording", range(len(UNKNOWN)))
async def test_whatever_becomes_of_an_unknown_order_never_more_than_the_position_is_permitted(
    autojump_clock: MockClock, wording: int
) -> None:
    world = UnknownWorld(ROUNDS, seed=wording)
    left: dict[str, Decimal | str] = {}
    fates = {symbol: drawn_fate(world.random) for symbol in world.symbols}

    async def live(symbol: str) -> None:
        await trio.sleep(world.random.uniform(0, 5))
        left[symbol] = await world.live_through(symbol, UNKNOWN[wording], fates[symbol])

    async with world.running():
        async with trio.open_nursery() as nursery:
            for symbol in world.symbols:
                nursery.start_soon(live, symbol)
        await trio.sleep(2)  # the last results are booked
        for symbol, fate in fates.items():
            ledger = Decimal(world.ledgers.amount(symbol) or "nan")
            if not fate.filled:
                assert (left[symbol], ledger) == (POSITION, POSITION), fate
            elif fate.known_at is not None:
                assert (left[symbol], ledger) == (POSITION - ORDERED, POSITION - ORDERED), fate
            else:
                assert (left[symbol], ledger) == (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, POSITION), fate
        assert world.ledgers.unknown_executions.value == ()
        assert world.ledgers.pending() == 0
        assert world.ledgers.dead() == []
