"""Trades and orders that others caused, as Binance's own SDK sees them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from binance_common.errors import BadRequestError
from binance_sdk_derivatives_trading_usds_futures.rest_api.models import UsersForceOrdersAutoCloseTypeEnum

from simulator import RunningSimulator, external_events
from tests.simulator.official_client import OfficialRest
from tests.simulator.official_rig import no_complaints as no_complaints
from tests.simulator.official_rig import simulator as simulator
from tests.simulator.official_rig import unexpected

#: The SDK shares these answers' models with COIN-M.
_OF_COIN_M = {"-cumBase", "-pair", "-baseQty", "-marginAsset"}


@pytest.fixture
def rest(simulator: RunningSimulator) -> OfficialRest:
    """The SDK at an account that bought, was in part liquidated, in part reduced by ADL, then settled."""
    exchange = simulator.exchange
    external_events.move_position(exchange, "BTCUSDT", target=Decimal(9), sender="ios")
    external_events.move_position(exchange, "BTCUSDT", target=Decimal(5), cause="liquidation", parts=3)
    external_events.move_position(exchange, "BTCUSDT", target=Decimal(4), cause="adl")
    external_events.settle(exchange, "BTCUSDT")
    return OfficialRest(simulator)


async def test_forced_orders_fill_the_model(rest: OfficialRest) -> None:
    forced = await rest.ask("users_force_orders", symbol="BTCUSDT")
    assert unexpected(forced) == _OF_COIN_M - {"-baseQty", "-marginAsset"}
    assert [(order.executed_qty, order.type, order.time_in_force) for order in forced] == [
        ("4.000", "LIMIT", "IOC"),
        ("1.000", "LIMIT", "GTC"),
    ]
    kinds = UsersForceOrdersAutoCloseTypeEnum
    (adl,) = await rest.ask("users_force_orders", symbol="BTCUSDT", auto_close_type=kinds.ADL)
    assert adl.client_order_id == "adl_autoclose"
    (liquidation,) = await rest.ask("users_force_orders", auto_close_type=kinds.LIQUIDATION, limit=100)
    assert liquidation.order_id == forced[0].order_id
    with pytest.raises(BadRequestError) as refused:
        await rest.ask("users_force_orders", symbol="BTCUSDT", limit=101)
    assert refused.value.status_code == -1130


async def test_orders_and_trades_of_every_sender_fill_the_models(rest: OfficialRest) -> None:
    orders = await rest.ask("all_orders", symbol="BTCUSDT")
    assert unexpected(orders) == _OF_COIN_M - {"-baseQty", "-marginAsset"}
    begins = ["ios_", "autoclose-", "adl_autoclose", "settlement_autoclose-"]
    assert all(order.client_order_id.startswith(begin) for order, begin in zip(orders, begins, strict=True))
    trades = await rest.ask("account_trade_list", symbol="BTCUSDT")
    assert unexpected(trades) == _OF_COIN_M - {"-cumBase"}
    assert len(trades) == 6
    for order in orders:
        filled = [Decimal(trade.qty) for trade in trades if trade.order_id == order.order_id]
        assert sum(filled, Decimal(0)) == Decimal(order.executed_qty)
        found = await rest.ask("query_order", symbol="BTCUSDT", order_id=order.order_id)
        assert (found.client_order_id, unexpected(found)) == (order.client_order_id, set())
