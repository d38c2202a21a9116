"""Results of fills that were not pushed: the exchange is asked for their times, for old ones at once."""

from __future__ import annotations

import pytest
import trio

from tests.actors.ledger_rig import LedgerRig, at_rest, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

ORDERS = 20


async def left_behind(adopted: LedgerRig, symbol: str) -> None:
    """Publish results of fills without a push, and deliver them to a writer that is dead now."""
    for number in range(1, ORDERS + 1):
        adopted.exchange.fill(symbol, str(number), "SELL", "0.1")
        adopted.publish_result(symbol, str(number), "SELL", "0.1")
    assert len(await adopted.store.results.read_new(count=ORDERS, block_ms=0)) == ORDERS
    adopted.ledgers_adopted.send(False)


@pytest.mark.parametrize(("symbol", "amount"), [("BTCUSDT", "-2"), ("ETHUSDT", "-4")])
async def test_an_old_result_does_not_wait_for_its_push(adopted: LedgerRig, symbol: str, amount: str) -> None:
    await left_behind(adopted, symbol)
    await trio.sleep(2)
    adopted.exchange.latency_sec = 0.05
    async with running_writer(adopted):
        await trio.sleep(ORDERS * adopted.exchange.latency_sec + 0.1)
        assert adopted.amount(symbol) == amount
        assert len(adopted.exchange.lookups) == ORDERS


async def test_a_new_result_waits_for_its_push_before_the_exchange_is_asked(adopted: LedgerRig) -> None:
    async with running_writer(adopted):
        adopted.exchange.fill("ETHUSDT", "1", "SELL", "0.5")
        adopted.publish_result("ETHUSDT", "1", "SELL", "0.5")
        await trio.sleep(0.8)
        assert adopted.amount("ETHUSDT") == "-2"
        adopted.push_fill("ETHUSDT", "1", "SELL")
        await trio.sleep(0.01)
        assert adopted.amount("ETHUSDT") == "-2.5"
        assert adopted.exchange.lookups == []


async def test_without_a_push_the_exchange_is_asked_for_the_times_of_the_fills(stopped: LedgerRig) -> None:
    async with running_writer(stopped):
        stopped.exchange.fill("ETHUSDT", "1", "BUY", "0.5")  # in the adopted amount
        await at_rest(stopped)
        assert stopped.amount("ETHUSDT") == "-1.5"
        stopped.exchange.fill("ETHUSDT", "2", "BUY", "0.25")  # after it
        stopped.publish_result("ETHUSDT", "1", "BUY", "0.5")
        stopped.publish_result("ETHUSDT", "2", "BUY", "0.25")
        await trio.sleep(5)
        assert stopped.exchange.lookups == ["1", "2"]
        assert stopped.amount("ETHUSDT") == "-1.25"


async def test_the_exchange_is_asked_again_while_its_list_of_trades_lags_behind_the_result(
    stopped: LedgerRig,
) -> None:
    async with running_writer(stopped):
        stopped.exchange.trades_listed_after_sec = 2.5
        stopped.exchange.fill("ETHUSDT", "1", "BUY", "0.5")  # in the adopted amount
        await at_rest(stopped)
        stopped.publish_result("ETHUSDT", "1", "BUY", "0.5")
        await trio.sleep(5)
        assert stopped.exchange.lookups == ["1", "1"]
        assert stopped.amount("ETHUSDT") == "-1.5"
        stopped.publish_result("ETHUSDT", "never", "BUY", "0.25")
        await trio.sleep(5)
        assert stopped.exchange.lookups == ["1", "1", "never", "never", "never"]
        assert stopped.amount("ETHUSDT") == "-1.25", "what the exchange does not contain is booked"
