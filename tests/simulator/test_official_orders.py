"""The order side of the simulator as Binance's own SDK sees it: each endpoint, each kind of order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from binance_common.errors import BadRequestError, ServerError, TooManyRequestsError
from binance_sdk_derivatives_trading_usds_futures.rest_api.models import (
    NewOrderNewOrderRespTypeEnum,
    NewOrderSelfTradePreventionModeEnum,
    NewOrderSideEnum,
    NewOrderTimeInForceEnum,
    NewOrderTypeEnum,
)
from binance_sdk_derivatives_trading_usds_futures.websocket_streams.models import (
    AccountUpdate,
    OrderTradeUpdate,
    TradeLite,
)

from simulator import RunningSimulator, external_events
from simulator.faults import RestFault
from tests.simulator.official_client import OfficialRest, OfficialStreams
from tests.simulator.official_rig import market_order, unexpected
from tests.simulator.official_rig import no_complaints as no_complaints
from tests.simulator.official_rig import simulator as simulator
from tests.simulator.official_rig import streams as streams

#: The SDK shares these answers' models with COIN-M.
_OF_COIN_M = {"-cumBase", "-pair", "-baseQty", "-marginAsset"}


@pytest.fixture
def rest(simulator: RunningSimulator) -> OfficialRest:
    """The SDK at a market that stands still."""
    set_price(simulator, "50000")
    return OfficialRest(simulator)


def set_price(simulator: RunningSimulator, price: str) -> None:
    simulator.exchange.mark_prices.set_price("BTCUSDT", Decimal(price), hold=True)
    simulator.exchange.advance()


async def limit_order(
    rest: OfficialRest, side: str, quantity: float, price: float, in_force: str = "GTC", **more: object
) -> Any:
    """Return a limit order in BTCUSDT, answered with its result."""
    return await rest.ask(
        "new_order",
        symbol="BTCUSDT",
        side=NewOrderSideEnum[side],
        type=NewOrderTypeEnum.LIMIT,
        time_in_force=NewOrderTimeInForceEnum[in_force],
        quantity=quantity,
        price=price,
        new_order_resp_type=NewOrderNewOrderRespTypeEnum.RESULT,
        **more,
    )


async def refusal(rest: OfficialRest, method: str, **arguments: object) -> int | None:
    with pytest.raises(BadRequestError) as refused:
        await rest.ask(method, **arguments)
    return refused.value.status_code


async def test_a_resting_order_is_found_listed_and_cancelled(rest: OfficialRest) -> None:
    placed = await limit_order(rest, "BUY", 0.5, 49000.0, new_client_order_id="mine-1")
    assert unexpected(placed) == set()
    assert (placed.status, placed.price, placed.time_in_force) == ("NEW", "49000.0", "GTC")
    found = await rest.ask("query_order", symbol="BTCUSDT", orig_client_order_id="mine-1")
    current = await rest.ask("query_current_open_order", symbol="BTCUSDT", order_id=placed.order_id)
    (listed,) = await rest.ask("current_all_open_orders", symbol="BTCUSDT")
    (everywhere,) = await rest.ask("current_all_open_orders")
    (among_all,) = await rest.ask("all_orders", symbol="BTCUSDT")
    assert unexpected([found, current, listed, everywhere]) == set()
    assert unexpected(among_all) == _OF_COIN_M - {"-baseQty", "-marginAsset"}
    shown = [found, current, listed, everywhere, among_all]
    assert {each.order_id for each in shown} == {placed.order_id}
    cancelled = await rest.ask("cancel_order", symbol="BTCUSDT", orig_client_order_id="mine-1")
    assert unexpected(cancelled) == set()
    assert (cancelled.status, cancelled.executed_qty) == ("CANCELED", "0.000")
    assert await refusal(rest, "cancel_order", symbol="BTCUSDT", order_id=placed.order_id) == -2011
    assert (
        await refusal(rest, "query_current_open_order", symbol="BTCUSDT", order_id=placed.order_id) == -2013
    )


async def test_all_open_orders_are_cancelled_at_once(rest: OfficialRest) -> None:
    for price in (49000.0, 48000.0):
        await limit_order(rest, "BUY", 0.5, price)
    done = await rest.ask("cancel_all_open_orders", symbol="BTCUSDT")
    assert (done.code, unexpected(done)) == (200, set())
    assert await rest.ask("current_all_open_orders") == []
    assert {each.status for each in await rest.ask("all_orders", symbol="BTCUSDT")} == {"CANCELED"}


@pytest.mark.parametrize(
    ("in_force", "price", "status"),
    [
        ("GTC", 50100.0, "FILLED"),
        ("IOC", 50100.0, "FILLED"),
        ("FOK", 50100.0, "FILLED"),
        ("IOC", 49000.0, "EXPIRED"),
    ],
)
async def test_an_order_that_matches_is_answered_with_its_final_state(
    rest: OfficialRest, in_force: str, price: float, status: str
) -> None:
    placed = await limit_order(rest, "BUY", 0.5, price, in_force)
    assert (placed.status, placed.time_in_force, unexpected(placed)) == (status, in_force, set())


async def test_an_order_that_cannot_be_filled_as_asked_is_refused(rest: OfficialRest) -> None:
    for in_force, price, code in (("FOK", 49000.0, -5021), ("GTX", 50100.0, -5022)):
        with pytest.raises(BadRequestError) as refused:
            await limit_order(rest, "BUY", 0.5, price, in_force)
        assert refused.value.status_code == code
    stop = {"symbol": "BTCUSDT", "side": NewOrderSideEnum.SELL, "quantity": 0.5}
    assert await refusal(rest, "new_order", type=NewOrderTypeEnum.STOP_MARKET, **stop) == -4120


async def test_trades_are_paged(rest: OfficialRest) -> None:
    for _ in range(3):
        await market_order(rest, "BUY", 0.1)
    trades = await rest.ask("account_trade_list", symbol="BTCUSDT")
    assert unexpected(trades) == _OF_COIN_M - {"-cumBase"}
    ids = [trade.id for trade in trades]
    later = await rest.ask("account_trade_list", symbol="BTCUSDT", from_id=ids[1])
    assert [trade.id for trade in later] == ids[1:]
    (first,) = await rest.ask("account_trade_list", symbol="BTCUSDT", start_time=trades[0].time, limit=1)
    assert first.id == ids[0]
    assert await refusal(rest, "account_trade_list", symbol="BTCUSDT", from_id=1, start_time=1) == -1128
    assert await refusal(rest, "all_orders", symbol="BTCUSDT", start_time=2, end_time=1) == -1023


async def test_account_and_balance_fill_every_field_of_the_models(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal("0.5"))
    await limit_order(rest, "BUY", 0.1, 49000.0)
    account = await rest.ask("account_information_v3")
    assert unexpected(account) == set()
    assert Decimal(account.total_margin_balance) == simulator.exchange.wallet_balance
    assert Decimal(account.total_open_order_initial_margin) == Decimal("245")
    assert [(each.symbol, each.position_amt) for each in account.positions] == [("BTCUSDT", "0.500")]
    (balance,) = await rest.ask("futures_account_balance_v3")
    assert unexpected(balance) == set()
    assert Decimal(balance.available_balance) == Decimal(account.available_balance)


async def test_orders_are_counted_in_headers_that_the_sdk_reads(rest: OfficialRest) -> None:
    answer = await rest.answer(
        "new_order",
        symbol="BTCUSDT",
        side=NewOrderSideEnum.BUY,
        type=NewOrderTypeEnum.MARKET,
        quantity=0.5,
    )
    counted = {(each.rateLimitType, each.interval, each.intervalNum) for each in answer.rate_limits or []}
    assert counted == {("REQUEST_WEIGHT", "MINUTE", 1), ("ORDERS", "SECOND", 10), ("ORDERS", "MINUTE", 1)}
    # Without a response type the answer is that it was taken.
    assert (answer.data().status, answer.data().executed_qty) == ("NEW", "0.000")
    info = await rest.ask("exchange_information")
    limits = {
        (each.interval, each.interval_num): each.limit
        for each in info.rate_limits
        if each.rate_limit_type == "ORDERS"
    }
    assert limits == {("SECOND", 10): 300, ("MINUTE", 1): 1200}


async def test_too_many_orders_are_refused(simulator: RunningSimulator, rest: OfficialRest) -> None:
    simulator.exchange.order_counts.per_minute = 1
    await market_order(rest, "BUY", 0.5)
    with pytest.raises(TooManyRequestsError) as refused:
        await market_order(rest, "BUY", 0.5)
    assert refused.value.status_code == -1015


@pytest.mark.parametrize("fault", ["-1006", "503_unknown", "503_unavailable", "503_internal", "-1008"])
async def test_unknown_and_failed_answers_are_server_errors(
    simulator: RunningSimulator, rest: OfficialRest, fault: RestFault
) -> None:
    simulator.exchange.faults.rest_faults_next = [fault]
    with pytest.raises(ServerError) as broken:
        await market_order(rest, "BUY", 0.5)
    assert broken.value.status_code == (500 if fault == "-1006" else 503)
    executed = simulator.exchange.position("BTCUSDT").amount > 0
    assert executed is (fault in ("-1006", "503_unknown"))


async def test_every_end_of_an_order_is_reported_by_events_that_fill_the_models(
    simulator: RunningSimulator, rest: OfficialRest, streams: OfficialStreams
) -> None:
    resting = await limit_order(rest, "BUY", 0.5, 49000.0)
    set_price(simulator, "49000")
    events = [await streams.user_event() for _ in range(4)]
    assert [type(event) for event in events] == [OrderTradeUpdate, TradeLite, OrderTradeUpdate, AccountUpdate]
    new, lite, trade, account = events
    assert unexpected([new, lite, trade]) == set()
    assert (new.o.f, new.o.p, trade.o.ap, trade.o.m) == ("GTC", "49000.0", "49000.00000000", True)
    assert trade.o.i == lite.i == resting.order_id
    (balance,) = account.a.B
    assert (balance.a, Decimal(balance.wb)) == ("USDT", simulator.exchange.wallet_balance)

    await limit_order(rest, "BUY", 0.5, 48000.0, "IOC")
    await limit_order(rest, "SELL", 0.5, 49500.0, new_client_order_id="sale")
    await limit_order(
        rest, "BUY", 0.5, 49500.0, self_trade_prevention_mode=NewOrderSelfTradePreventionModeEnum.EXPIRE_BOTH
    )
    cancelled = await limit_order(rest, "SELL", 0.5, 49500.0)
    await rest.ask("cancel_order", symbol="BTCUSDT", order_id=cancelled.order_id)
    simulator.exchange.faults.fills_per_order, simulator.exchange.faults.expire_after_fills = 2, 1
    await market_order(rest, "SELL", 0.5)
    ends: list[tuple[str, str, str]] = []
    while len(ends) < 5:
        event = await streams.user_event_of(OrderTradeUpdate)
        assert unexpected(event) == set()
        if event.o.X not in ("NEW", "PARTIALLY_FILLED"):
            ends.append((event.o.x, event.o.X, event.o.er))
    assert ends == [
        ("EXPIRED", "EXPIRED", "2"),
        ("EXPIRED", "EXPIRED_IN_MATCH", "1"),
        ("EXPIRED", "EXPIRED_IN_MATCH", "1"),
        ("CANCELED", "CANCELED", "0"),
        ("EXPIRED", "EXPIRED", "9"),
    ]
