"""The simulator as Binance's own SDK sees it: what that reads without complaint has the real shape."""

from __future__ import annotations

from decimal import Decimal

import pytest
from binance_common.errors import (
    BadRequestError,
    RateLimitBanError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
)
from binance_sdk_derivatives_trading_usds_futures.websocket_streams.models import (
    AccountConfigUpdate,
    AccountUpdate,
    AlgoUpdate,
    ListenKeyExpired,
    OrderTradeUpdate,
    TradeLite,
)

from simulator import RunningSimulator, external_events
from tests.simulator.official_client import OfficialRest, OfficialStreams
from tests.simulator.official_rig import market_order, unexpected
from tests.simulator.official_rig import no_complaints as no_complaints
from tests.simulator.official_rig import rest as rest
from tests.simulator.official_rig import simulator as simulator
from tests.simulator.official_rig import streams as streams


async def test_signed_reads_of_positions_fill_every_field_of_the_models(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    assert await rest.ask("position_information_v3") == []
    external_events.move_position(simulator.exchange, "ETHUSDT", target=Decimal("-1.5"))
    answer = await rest.answer("position_information_v2")
    rows = answer.data()
    assert len(rows) == len(simulator.exchange.listing.symbols)
    assert unexpected(rows) == set()
    (limit,) = answer.rate_limits or []
    # Less where the minute has turned between the two reads.
    assert (limit.rateLimitType, limit.count in (5, 10)) == ("REQUEST_WEIGHT", True)
    (row,) = await rest.ask("position_information_v2", symbol="ETHUSDT")
    (open_row,) = await rest.ask("position_information_v3")
    assert unexpected(open_row) == set()
    truth = simulator.exchange.history.changes("ETHUSDT")[-1]
    for each in (row, open_row):
        assert (each.symbol, each.position_side) == ("ETHUSDT", "BOTH")
        assert Decimal(each.position_amt) == truth.amount == Decimal("-1.5")
        assert each.update_time == truth.transaction_time_ms


async def test_market_data_fills_every_field_of_the_models(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    info = await rest.ask("exchange_information")
    assert unexpected(info) - _filter_fields_of_other_filters() == set()
    assert {listed.symbol for listed in info.symbols} == set(simulator.exchange.listing.symbols)
    bitcoin = next(listed for listed in info.symbols if listed.symbol == "BTCUSDT")
    steps = {each.filter_type: each.step_size for each in bitcoin.filters if each.step_size is not None}
    assert set(steps) == {"LOT_SIZE", "MARKET_LOT_SIZE"}
    assert {Decimal(step) for step in steps.values()} == {simulator.exchange.symbol("BTCUSDT").step_size}
    for method in ("mark_price", "ticker24hr_price_change_statistics"):
        assert unexpected((await rest.ask(method, symbol="BTCUSDT")).actual_instance) == set()
        assert unexpected((await rest.ask(method)).actual_instance) == set()
    server_time = (await rest.ask("check_server_time")).server_time
    assert abs(server_time - simulator.exchange.exchange_ms()) < 5_000


async def test_the_account_is_switched_to_hedge_mode_and_its_legs_are_traded_apart(
    rest: OfficialRest,
) -> None:
    assert (await rest.ask("get_current_position_mode")).dual_side_position is False
    changed = await rest.ask("change_position_mode", dual_side_position="true")
    assert (changed.code, changed.msg) == (200, "success")
    assert (await rest.ask("get_current_position_mode")).dual_side_position is True
    await market_order(rest, "BUY", 0.5, position_side="LONG")
    await market_order(rest, "SELL", 0.2, position_side="SHORT")
    rows = await rest.ask("position_information_v2", symbol="BTCUSDT")
    assert {(row.position_side, row.position_amt) for row in rows} == {("LONG", "0.500"), ("SHORT", "-0.200")}
    with pytest.raises(BadRequestError) as refused:
        await market_order(rest, "BUY", 0.1)
    assert refused.value.status_code == -4061
    with pytest.raises(BadRequestError) as refused:
        await rest.ask("change_position_mode", dual_side_position="false")
    assert refused.value.status_code == -4068


async def test_the_account_configuration_fills_every_field_of_the_model(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    simulator.exchange.can_trade = False
    config = await rest.ask("futures_account_configuration")
    assert unexpected(config) == set()
    assert (config.can_trade, config.dual_side_position) == (False, False)


async def test_the_leverage_of_each_symbol_is_in_its_configuration(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    external_events.set_leverage(simulator.exchange, "BTCUSDT", 7)
    (configured,) = await rest.ask("symbol_configuration", symbol="BTCUSDT")
    assert unexpected(configured) == set()
    assert (configured.symbol, configured.leverage, configured.margin_type) == ("BTCUSDT", 7, "CROSSED")
    assert len(await rest.ask("symbol_configuration")) == len(simulator.exchange.listing.symbols)


async def test_the_listen_key_is_made_kept_alive_and_closed(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    key = (await rest.ask("start_user_data_stream")).listen_key
    assert key == simulator.exchange.listen_keys.live
    assert (await rest.ask("start_user_data_stream")).listen_key == key
    assert (await rest.ask("keepalive_user_data_stream")).listen_key == key
    assert await rest.ask("close_user_data_stream") == {}
    with pytest.raises(BadRequestError) as unknown:
        await rest.ask("keepalive_user_data_stream")
    assert unknown.value.status_code == -1125


async def test_a_market_order_is_filled_found_and_reduced(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    bought = await market_order(rest, "BUY", 0.5, new_client_order_id="mine-1")
    assert unexpected(bought) == set()
    found = await rest.ask("query_order", symbol="BTCUSDT", orig_client_order_id="mine-1")
    assert unexpected(found) == set()
    assert (found.status, found.executed_qty, found.side) == ("FILLED", "0.500", "BUY")
    (trade,) = await rest.ask("account_trade_list", symbol="BTCUSDT", order_id=bought.order_id)
    # The SDK shares this answer's model with COIN-M, which has three fields more.
    assert unexpected(trade) == {"-baseQty", "-marginAsset", "-pair"}
    assert (trade.qty, trade.time, trade.side) == ("0.500", found.update_time, "BUY")
    # More than there is: a reduce-only order closes the position, and never turns it.
    sold = await market_order(rest, "SELL", 0.7, reduce_only=True)
    sold = await rest.ask("query_order", symbol="BTCUSDT", order_id=sold.order_id)
    assert (sold.reduce_only, sold.executed_qty) == (True, "0.500")
    assert simulator.exchange.position("BTCUSDT").amount == 0
    with pytest.raises(BadRequestError) as refused:
        await market_order(rest, "SELL", 0.1, reduce_only=True)
    assert refused.value.status_code == -2022


async def test_refusals_are_distinguished_and_say_when_to_come_back(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    faults = simulator.exchange.faults
    faults.retry_after_sec, faults.ban_sec = 7, 60
    faults.rest_faults_next = ["429", "5xx", "418"]
    with pytest.raises(TooManyRequestsError) as limited:
        await rest.ask("check_server_time")
    assert (limited.value.status_code, limited.value.retry_after) == (-1003, 7)
    with pytest.raises(ServerError) as broken:
        await rest.ask("check_server_time")
    assert broken.value.status_code == 503
    for _ in range(2):
        with pytest.raises(RateLimitBanError) as banned:
            await rest.ask("check_server_time")
        assert banned.value.retry_after in (59, 60)
    simulator.exchange.weights.lift_ban()
    simulator.exchange.api_secret = "another"
    with pytest.raises(BadRequestError) as unsigned:
        await rest.ask("position_information_v2")
    assert unsigned.value.status_code == -1022
    simulator.exchange.api_key = "another"
    with pytest.raises(UnauthorizedError) as unknown:
        await rest.ask("position_information_v2")
    assert unknown.value.status_code == -2015


async def test_a_skewed_clock_is_refused_and_the_servers_time_shows_the_skew(
    simulator: RunningSimulator, rest: OfficialRest
) -> None:
    simulator.exchange.faults.clock_skew_ms = 60_000
    with pytest.raises(BadRequestError) as refused:
        await rest.ask("position_information_v2")
    assert refused.value.status_code == -1021
    ahead_ms = (await rest.ask("check_server_time")).server_time - simulator.exchange.host_ms()
    assert 55_000 < ahead_ms < 65_000


async def test_an_order_is_reported_by_events_that_fill_every_field_of_the_models(
    simulator: RunningSimulator, rest: OfficialRest, streams: OfficialStreams
) -> None:
    placed = await market_order(rest, "SELL", 0.25, new_client_order_id="mine-2")
    events = [await streams.user_event() for _ in range(4)]
    assert [type(event) for event in events] == [OrderTradeUpdate, TradeLite, OrderTradeUpdate, AccountUpdate]
    new, lite, trade, account = events
    assert unexpected([new, lite, trade]) == set()
    assert unexpected(account) == {"-a.S"}
    assert (new.o.x, new.o.X, trade.o.x, trade.o.X) == ("NEW", "NEW", "TRADE", "FILLED")
    assert lite.i == trade.o.i == placed.order_id
    assert (trade.o.c, trade.o.z, trade.o.ps) == ("mine-2", "0.250", "BOTH")
    (changed,) = account.a.P
    truth = simulator.exchange.history.changes("BTCUSDT")[-1]
    assert (changed.s, Decimal(changed.pa)) == ("BTCUSDT", truth.amount)
    assert account.T == trade.T == truth.transaction_time_ms


async def test_changes_without_orders_of_ours_are_reported_in_the_models_as_well(
    simulator: RunningSimulator, rest: OfficialRest, streams: OfficialStreams
) -> None:
    exchange = simulator.exchange
    external_events.move_position(exchange, "BTCUSDT", target=Decimal("0.5"))
    external_events.move_position(exchange, "BTCUSDT", target=Decimal("0.2"), cause="stop")
    algos = [await streams.user_event_of(AlgoUpdate) for _ in range(2)]
    assert [algo.o.X for algo in algos] == ["TRIGGERED", "FINISHED"]
    # Only trailing stops have a field for it.
    assert unexpected(algos) == {"-o.ia"}
    external_events.change_balance(exchange, "FUNDING_FEE", Decimal("-1.25"), symbol="BTCUSDT")
    while (account := await streams.user_event_of(AccountUpdate)).a.m != "FUNDING_FEE":
        pass
    assert unexpected(account) == set()
    assert [(row.s, row.pa) for row in account.a.P] == [("BTCUSDT", "0.200")]
    changed = await rest.ask("change_initial_leverage", symbol="BTCUSDT", leverage=7)
    assert unexpected(changed) == set()
    config = await streams.user_event_of(AccountConfigUpdate)
    assert (config.ac.s, config.ac.l) == ("BTCUSDT", 7)
    with pytest.raises(BadRequestError) as refused:
        await rest.ask("change_initial_leverage", symbol="BTCUSDT", leverage=126)
    assert refused.value.status_code == -4028


async def test_an_expired_listen_key_is_reported(
    simulator: RunningSimulator, streams: OfficialStreams
) -> None:
    key = simulator.exchange.listen_keys.live
    simulator.exchange.expire_listen_key(now=True)
    expired = await streams.user_event_of(ListenKeyExpired)
    assert unexpected(expired) == set()
    assert expired.listen_key == key


async def test_mark_prices_come_for_every_symbol_and_move(
    simulator: RunningSimulator, streams: OfficialStreams
) -> None:
    first = await streams.mark_prices()
    assert unexpected(first) == set()
    of_this_market = {price.s for price in first if price.st == 1}
    assert of_this_market == set(simulator.exchange.listing.symbols)
    assert {price.s for price in first if price.st == 2} == {"BTCUSD_PERP", "ETHUSD_PERP", "BTCUSD_261225"}
    simulator.exchange.mark_prices.set_price("BTCUSDT", Decimal("42000.5"), hold=True)
    while (await bitcoin_price(streams)) != Decimal("42000.5"):
        pass


async def bitcoin_price(streams: OfficialStreams) -> Decimal:
    return next(Decimal(price.p) for price in await streams.mark_prices() if price.s == "BTCUSDT")


def _filter_fields_of_other_filters() -> set[str]:
    """Return the filters' fields: each filter has its own, the SDK has one model for all of them."""
    fields = (
        "maxPrice", "minPrice", "tickSize", "maxQty", "minQty", "stepSize", "limit",
        "notional", "multiplierUp", "multiplierDown", "multiplierDecimal",
    )  # fmt: skip
    return {f"-symbols.filters.{field}" for field in fields}
