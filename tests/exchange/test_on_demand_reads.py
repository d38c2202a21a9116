"""Reads for decisions: the first is of one symbol, and those that come while it runs share a read of all."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from brain.moment import Moment
from clock import TrioClock
from exchange.on_demand_reads import OnDemandReads
from exchange.shared_read import SharedRead
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange


@pytest.mark.parametrize("symbols", [("BTCUSDT",) * 3, ("BTCUSDT", "ETHUSDT", "SOLUSDT")])
async def test_only_the_first_of_the_plans_that_wait_reads_one_symbol_alone(
    autojump_clock: MockClock, symbols: tuple[str, ...]
) -> None:
    clock = TrioClock(EPOCH_MS)
    exchange = DictatedExchange(clock)
    for symbol in symbols:
        exchange.set(symbol, "1")
    reads = OnDemandReads(exchange, SharedRead(exchange.positions, clock), lambda: False, clock)
    shown: list[str] = []

    async def ask(symbol: str, sent_after: Moment) -> None:
        read, _ = await reads.read(symbol, sent_after, trio.current_time() + 5, nursery)
        shown.extend(row.symbol for row in read.rows)

    async with trio.open_nursery() as nursery:
        for symbol in symbols:
            nursery.start_soon(ask, symbol, clock.now())
            await trio.sleep(0.05)
    assert sorted(shown) == sorted(symbols)
    assert exchange.reads == [symbols[0], None, None]
