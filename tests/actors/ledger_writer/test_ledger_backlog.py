"""Results that a writer left pending soon after an adoption are booked by the next one without delay."""

from __future__ import annotations

import pytest
import trio

from tests.actors.ledger_rig import LedgerRig, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

ORDERS = 20


@pytest.fixture
async def rig() -> LedgerRig:
    """BTCUSDT is flat, and its row has no date; ETHUSDT is held."""
    rig = LedgerRig()
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    rig.exchange.set("ETHUSDT", "-2", update_time_ms=5)
    for symbol in rig.exchange.rows:
        rig.observe(symbol)
    async with running_writer(rig):
        await trio.sleep(1)
    return rig


async def left_behind(rig: LedgerRig, symbol: str) -> None:
    """Publish results of fills without a push, and deliver them to a writer that is dead now."""
    for number in range(1, ORDERS + 1):
        rig.exchange.fill(symbol, str(number), "SELL", "0.1")
        rig.publish_result(symbol, str(number), "SELL", "0.1")
    assert len(await rig.store.results.read_new(count=ORDERS, block_ms=0)) == ORDERS
    rig.ledgers_adopted.send(False)


@pytest.mark.parametrize(("symbol", "amount"), [("BTCUSDT", "-2"), ("ETHUSDT", "-4")])
async def test_an_old_result_does_not_wait_for_its_push(rig: LedgerRig, symbol: str, amount: str) -> None:
    await left_behind(rig, symbol)
    await trio.sleep(2)
    rig.exchange.latency_sec = 0.05
    async with running_writer(rig):
        await trio.sleep(ORDERS * rig.exchange.latency_sec + 0.1)
        assert rig.amount(symbol) == amount
        assert len(rig.exchange.lookups) == ORDERS


async def test_a_new_result_waits_for_its_push_before_the_exchange_is_asked(rig: LedgerRig) -> None:
    async with running_writer(rig):
        rig.exchange.fill("ETHUSDT", "1", "SELL", "0.5")
        rig.publish_result("ETHUSDT", "1", "SELL", "0.5")
        await trio.sleep(0.8)
        assert rig.amount("ETHUSDT") == "-2"
        rig.push_fill("ETHUSDT", "1", "SELL")
        await trio.sleep(0.01)
        assert rig.amount("ETHUSDT") == "-2.5"
        assert rig.exchange.lookups == []
