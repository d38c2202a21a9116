"""Account history over real sockets, read from the simulator."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brain.identifiers import OrderId, Symbol
from brain.ledger.order_events import Cause, cause_of
from brain.positions.position import Leg
from brain.reconciliation.evidence import Trade
from exchange.history_protocol import AccountHistory, TradesPart
from simulator import RunningSimulator, external_events
from simulator.orders import Order
from tests.exchange.parts import Parts

BTC = Symbol("BTCUSDT")


def move(simulator: RunningSimulator, delta: str, **more: Any) -> Order:
    order = external_events.move_position(simulator.exchange, BTC, delta=Decimal(delta), **more)
    assert order is not None
    return order


async def all_trades(history: AccountHistory, since_ms: int) -> list[Trade]:
    found: dict[int, Trade] = {}
    parts = [TradesPart(since_ms)]
    while parts:
        page = await history.trades(BTC, parts.pop())
        found.update((trade.trade_id, trade) for trade in page.trades)
        parts += page.rest
    return [found[trade_id] for trade_id in sorted(found)]


@pytest.mark.parametrize("newest", [False, True])
async def test_trades_of_both_legs_are_read_over_many_pages(
    simulator: RunningSimulator, parts: Parts, newest: bool
) -> None:
    exchange = simulator.exchange
    exchange.faults.full_pages_are_newest = newest
    exchange.set_hedge_mode(True)
    before = move(simulator, "1", position_side="LONG")
    bought = move(simulator, "2", position_side="LONG", parts=8)
    sold = move(simulator, "-3", position_side="SHORT", parts=9)
    since_ms = bought.fills[0].transaction_time_ms
    trades = await all_trades(parts.rest.account_history(page=4), since_ms)
    assert [trade.trade_id for trade in trades] == [
        fill.trade_id for order in (bought, sold) for fill in order.fills
    ]
    assert {(trade.order_id, trade.side, trade.leg) for trade in trades} == {
        (OrderId(str(bought.order_id)), "BUY", Leg.LONG),
        (OrderId(str(sold.order_id)), "SELL", Leg.SHORT),
    }
    assert sum((trade.quantity for trade in trades), Decimal(0)) == 5
    assert str(before.order_id) not in {trade.order_id for trade in trades}


async def test_a_page_that_the_exchange_cuts_without_a_word_is_the_end(
    simulator: RunningSimulator, parts: Parts
) -> None:
    """The sum of such evidence does not come out: nothing is repaired by it."""
    since_ms = simulator.exchange.exchange_ms()
    move(simulator, "1", parts=8)
    simulator.exchange.faults.rows_at_most = 5
    trades = await all_trades(parts.rest.account_history(), since_ms)
    assert sum((trade.quantity for trade in trades), Decimal(0)) == Decimal("0.625")


async def test_every_sender_of_an_order_is_recognised(simulator: RunningSimulator, parts: Parts) -> None:
    first = move(simulator, "9")
    for cause in ("liquidation", "adl", "settlement", "stop"):
        move(simulator, "-1", cause=cause)
    move(simulator, "-1", sender="ios")
    move(simulator, "-1", client_order_id="p33-0")
    history = parts.rest.account_history()
    orders = await history.orders(BTC, from_id=OrderId(str(first.order_id + 1)))
    assert [cause_of(order.client_order_id) for order in orders[:3]] == [
        Cause.LIQUIDATION,
        Cause.ADL,
        Cause.SETTLEMENT,
    ]
    assert [order.conditional for order in orders] == [False, False, False, True, False, False]
    assert orders[5].client_order_id == "p33-0"
    assert {(order.side, order.leg, order.cumulative) for order in orders} == {("SELL", Leg.BOTH, Decimal(1))}
    assert await history.order(BTC, orders[3].order_id) == orders[3]


async def test_a_liquidation_that_only_its_own_list_shows_is_found_there(
    simulator: RunningSimulator, parts: Parts
) -> None:
    since_ms = simulator.exchange.exchange_ms()
    first = move(simulator, "9")
    forced = move(simulator, "-4", cause="liquidation", parts=3)
    simulator.exchange.faults.forced_orders_hidden = True
    history = parts.rest.account_history()
    forced_id = OrderId(str(forced.order_id))
    orders = await history.orders(BTC, from_id=OrderId(str(first.order_id)))
    assert [order.order_id for order in orders] == [str(first.order_id)]
    assert await history.order(BTC, forced_id) is None
    (order,) = await history.forced_orders(BTC, since_ms=since_ms)
    assert (order.order_id, order.cumulative, order.conditional) == (forced_id, Decimal(4), False)
    assert cause_of(order.client_order_id) is Cause.LIQUIDATION


async def test_the_history_lags_behind_the_position(simulator: RunningSimulator, parts: Parts) -> None:
    since_ms = simulator.exchange.exchange_ms()
    simulator.exchange.faults.history_lag_ms = 60_000
    order = move(simulator, "2")
    history = parts.rest.account_history()
    assert {row.position.amount for row in (await parts.rest.positions(BTC)).rows} == {Decimal(2)}
    assert await all_trades(history, since_ms) == []
    assert await history.orders(BTC, from_id=OrderId(str(order.order_id))) == ()
    simulator.exchange.faults.history_lag_ms = 0
    later = move(simulator, "1")
    assert {trade.order_id for trade in await all_trades(history, since_ms)} == {str(later.order_id)}


async def test_a_settled_symbol_shows_its_last_trades(simulator: RunningSimulator, parts: Parts) -> None:
    since_ms = simulator.exchange.exchange_ms()
    move(simulator, "2")
    (order,) = external_events.settle(simulator.exchange, BTC)
    trades = await all_trades(parts.rest.account_history(), since_ms)
    assert [(trade.order_id, trade.side) for trade in trades[-1:]] == [(str(order.order_id), "SELL")]
    assert BTC not in {
        symbol for symbol, rules in (await parts.rest.symbol_rules()).rules.items() if rules.trading
    }
