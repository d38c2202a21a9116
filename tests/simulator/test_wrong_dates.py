"""Accounts and clocks that go back, and events dated ahead: what makes newer rows look older."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from simulator import SimulatedExchange
from simulator.external_events import move_position
from tests.simulator.clients import HandClock, HttpClient, Recorder, ask, decoded, market

POSITIONS = "/fapi/v2/positionRisk"


def row(exchange: SimulatedExchange, symbol: str = "BTCUSDT") -> dict[str, Any]:
    shown: dict[str, Any] = decoded(ask(exchange, "GET", POSITIONS, symbol=symbol))[0]
    return shown


def test_a_wiped_account_is_flat_without_date_or_event_and_trades_on(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    wallet = exchange.wallet_balance
    exchange.first_fill_share = Decimal("0.5")
    unfinished = exchange.place_order(market("BUY", "2"))
    move_position(exchange, "ETHUSDT", target=Decimal(-3))
    move_position(exchange, "BNBUSDT", target=Decimal(3))
    move_position(exchange, "BNBUSDT", target=Decimal(0))
    clock.now_ms += 1000
    recorder = Recorder(exchange)
    exchange.wipe_account()
    assert recorder.events == []
    assert exchange.open_positions() == []
    assert exchange.wallet_balance == wallet
    for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT"):
        shown = row(exchange, symbol)
        assert not Decimal(shown["positionAmt"])
        assert (shown["updateTime"], shown["entryPrice"]) == (0, "0.0")
    assert exchange.history.position_at("ETHUSDT", clock.now_ms - 1) == -3
    assert exchange.history.position_at("ETHUSDT", clock.now_ms) == 0
    assert ask(exchange, "GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=unfinished.order_id).status == 400
    exchange.first_fill_share = None
    clock.now_ms += 1000
    exchange.place_order(market("BUY", "1"))
    assert (row(exchange)["positionAmt"], row(exchange)["updateTime"]) == ("1.000", clock.now_ms)


def test_a_leg_can_be_put_back_to_an_older_state_without_an_event(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    move_position(exchange, "BTCUSDT", target=Decimal(3))
    recorder = Recorder(exchange)
    exchange.rewind_position("BTCUSDT", "BOTH", Decimal(1), clock.now_ms - 3000)
    assert (row(exchange)["positionAmt"], row(exchange)["updateTime"]) == ("1.000", clock.now_ms - 3000)
    exchange.rewind_position("BTCUSDT", "BOTH", Decimal(2), clock.now_ms - 3000)
    assert row(exchange)["positionAmt"] == "2.000", "the same date with another amount is another row"
    assert recorder.events == []
    with pytest.raises(ValueError, match="position mode"):
        exchange.rewind_position("BTCUSDT", "LONG", Decimal(1), 0)


async def test_wipes_and_older_states_are_controlled_from_outside(client: HttpClient) -> None:
    to = {"symbol": "BTCUSDT", "amount": "0.5", "update_time_ms": 1_700_000_000_000}
    (await client.http.post("/simulator/rewind", json=to)).raise_for_status()
    (shown,) = (await client.signed("GET", POSITIONS, symbol="BTCUSDT")).json()
    assert (shown["positionAmt"], shown["updateTime"]) == ("0.500", 1_700_000_000_000)
    (await client.http.post("/simulator/wipe")).raise_for_status()
    (shown,) = (await client.signed("GET", POSITIONS, symbol="BTCUSDT")).json()
    assert (shown["positionAmt"], shown["updateTime"]) == ("0.000", 0)


@pytest.mark.parametrize("back_ms", [50, 1_500, 60_000, 3_600_000])
def test_a_clock_that_is_set_back_makes_later_changes_older(
    exchange: SimulatedExchange, clock: HandClock, back_ms: int
) -> None:
    exchange.place_order(market("BUY", "1"))
    first_ms = row(exchange)["updateTime"]
    exchange.faults.clock_skew_ms = -back_ms
    recorder = Recorder(exchange)
    for ahead_ms in (0, 1, 2):
        exchange.place_order(market("BUY", "1"))
        assert row(exchange)["updateTime"] == first_ms - back_ms + ahead_ms
    assert recorder.payloads("ACCOUNT_UPDATE")[0]["T"] == first_ms - back_ms
    exchange.faults.clock_skew_ms = 5000
    exchange.place_order(market("BUY", "1"))
    assert row(exchange)["updateTime"] == clock.now_ms + 5000


@pytest.mark.parametrize(("back_ms", "follow_clock"), [(49, True), (60_000, False)])
def test_a_burst_and_times_that_do_not_follow_the_clock_only_grow(
    exchange: SimulatedExchange, back_ms: int, follow_clock: bool
) -> None:
    exchange.faults.transaction_times_follow_clock = follow_clock
    exchange.place_order(market("BUY", "1"))
    first_ms = row(exchange)["updateTime"]
    exchange.faults.clock_skew_ms = -back_ms
    exchange.place_order(market("BUY", "1"))
    assert row(exchange)["updateTime"] == first_ms + 1


def test_a_long_burst_gives_no_time_twice(exchange: SimulatedExchange) -> None:
    for _ in range(200):
        exchange.place_order(market("BUY", "0.001"))
    times = [change.transaction_time_ms for change in exchange.history.changes("BTCUSDT")]
    assert times == list(range(times[0], times[0] + 200))


def test_the_next_events_can_be_dated_ahead_and_the_rows_are_not(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.faults.date_ahead_next = [5_000, 3_600_000]
    exchange.faults.date_ahead_ms = 7
    recorder = Recorder(exchange)
    for ahead_ms in (5_000, 3_600_000, 7):
        clock.now_ms += 10
        exchange.place_order(market("BUY", "1"))
        account = recorder.payloads("ACCOUNT_UPDATE")[-1]
        trade = recorder.payloads("ORDER_TRADE_UPDATE")[-1]
        assert {account["T"], account["E"], trade["T"], trade["E"]} == {clock.now_ms + ahead_ms}
        assert row(exchange)["updateTime"] == clock.now_ms


def test_the_next_events_can_be_in_microseconds_and_the_row_as_well(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.faults.microseconds_next, exchange.faults.dated_ahead_rows = 1, True
    recorder = Recorder(exchange)
    exchange.place_order(market("BUY", "1"))
    assert recorder.payloads("ACCOUNT_UPDATE")[0]["T"] == clock.now_ms * 1000
    assert row(exchange)["updateTime"] == clock.now_ms * 1000
    clock.now_ms += 10
    exchange.place_order(market("BUY", "1"))
    assert recorder.payloads("ACCOUNT_UPDATE")[1]["T"] == row(exchange)["updateTime"] == clock.now_ms


def test_a_silent_change_takes_no_wrong_date(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.faults.date_ahead_next = [5_000]
    move_position(exchange, "BTCUSDT", target=Decimal(1), announced=False)
    assert exchange.faults.date_ahead_next == [5_000]
