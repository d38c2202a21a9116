from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest

from simulator import SimulatedExchange
from simulator.errors import ApiError
from simulator.external_events import (
    BalanceReason,
    Cause,
    change_balance,
    move_position,
    send_frame,
    set_leverage,
)
from tests.simulator.clients import HandClock, Recorder, market


def test_a_fill_is_announced_as_order_trade_and_account_update(exchange: SimulatedExchange) -> None:
    exchange.mark_prices.set_price("BTCUSDT", Decimal(60000), hold=True)
    recorder = Recorder(exchange)
    order = exchange.place_order(market("SELL", "0.038"))
    new, lite, trade, account = recorder.payloads()
    assert [event["e"] for event in (new, lite, trade, account)] == [
        "ORDER_TRADE_UPDATE",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
    ]
    assert trade["T"] == account["T"] == lite["T"] == exchange.position("BTCUSDT").update_time_ms
    assert (
        trade["o"].items()
        >= {
            "s": "BTCUSDT",
            "S": "SELL",
            "x": "TRADE",
            "X": "FILLED",
            "i": order.order_id,
            "c": order.client_order_id,
            "q": "0.038",
            "l": "0.038",
            "z": "0.038",
            "L": "60000.00",
            "R": False,
            "ps": "BOTH",
        }.items()
    )
    assert account["a"]["m"] == "ORDER"
    assert account["a"]["P"] == [
        {
            "s": "BTCUSDT",
            "pa": "-0.038",
            "ep": "60000.00",
            "bep": "60000.00",
            "cr": "0.00000000",
            "up": "0.00000000",
            "mt": "cross",
            "iw": "0",
            "ps": "BOTH",
        }
    ]
    assert account["a"]["B"][0]["a"] == "USDT"


def test_trade_lite_can_be_turned_off(exchange: SimulatedExchange) -> None:
    exchange.emits_trade_lite = False
    recorder = Recorder(exchange)
    exchange.place_order(market("BUY", "0.038"))
    assert recorder.payloads("TRADE_LITE") == []


def test_only_the_changed_leg_is_reported(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    exchange.place_order(market("BUY", "0.038", leg="LONG"))
    recorder = Recorder(exchange)
    exchange.place_order(market("SELL", "0.010", leg="SHORT"))
    positions = recorder.payloads("ACCOUNT_UPDATE")[0]["a"]["P"]
    assert [(position["ps"], position["pa"]) for position in positions] == [("SHORT", "-0.010")]


def rows_in_both_modes(exchange: SimulatedExchange) -> list[list[tuple[str, str]]]:
    """Buy and sell in one-way mode, sell in hedge mode; return leg and amount in each account update."""
    recorder = Recorder(exchange)
    exchange.place_order(market("BUY", "0.038"))
    exchange.place_order(market("SELL", "0.038"))
    exchange.set_hedge_mode(True)
    exchange.place_order(market("SELL", "0.010", leg="SHORT"))
    updates = recorder.payloads("ACCOUNT_UPDATE")
    return [[(row["ps"], row["pa"]) for row in event["a"]["P"]] for event in updates]


def test_hedge_mode_can_show_all_legs_as_the_documentation_does(exchange: SimulatedExchange) -> None:
    exchange.faults.account_update_shows_all_legs = True
    one_way, _, hedged = rows_in_both_modes(exchange)
    assert one_way == [("BOTH", "0.038")]
    assert hedged == [("BOTH", "0.000"), ("LONG", "0.000"), ("SHORT", "-0.010")]


def test_hedge_mode_can_send_an_update_with_nothing_but_the_flat_both_row(
    exchange: SimulatedExchange,
) -> None:
    exchange.faults.account_update_shows_only_both = True
    *one_way, leg, both = rows_in_both_modes(exchange)
    assert len(one_way) == 2
    assert (leg, both) == ([("SHORT", "-0.010")], [("BOTH", "0.000")])


def test_events_of_one_type_are_in_order_of_transaction_time_even_in_a_burst(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    recorder = Recorder(exchange)
    for symbol in ("BTCUSDT", "ETHUSDT", "BTCUSDT"):
        exchange.place_order(market("BUY", "1", symbol=symbol))
    account_times = [event["T"] for event in recorder.payloads("ACCOUNT_UPDATE")]
    assert account_times == [clock.now_ms, clock.now_ms + 1, clock.now_ms + 2]
    order_times = [event["T"] for event in recorder.payloads("ORDER_TRADE_UPDATE")]
    assert order_times == sorted(order_times)


def test_clock_skew_shifts_the_exchanges_time_and_not_the_hosts(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.faults.clock_skew_ms = -3000
    exchange.place_order(market("BUY", "0.038"))
    change = exchange.history.changes("BTCUSDT")[0]
    assert (change.transaction_time_ms, change.wall_time_ms) == (clock.now_ms - 3000, clock.now_ms)


@pytest.mark.parametrize(
    ("cause", "client_id_prefix", "execution_type"),
    [
        ("trade", "web_", "TRADE"),
        ("stop", "stop_", "TRADE"),
        ("liquidation", "autoclose-", "CALCULATED"),
        ("adl", "adl_autoclose", "CALCULATED"),
        ("settlement", "settlement_autoclose-", "TRADE"),
    ],
)
def test_moves_from_outside_carry_binances_special_order_ids(
    exchange: SimulatedExchange, cause: Cause, client_id_prefix: str, execution_type: str
) -> None:
    exchange.place_order(market("BUY", "0.038"))
    recorder = Recorder(exchange)
    move_position(exchange, "BTCUSDT", target=Decimal(0), cause=cause)
    new, trade = recorder.payloads("ORDER_TRADE_UPDATE")
    assert new["o"]["X"] == "NEW"
    assert trade["o"]["c"].startswith(client_id_prefix)
    assert (trade["o"]["x"], trade["o"]["X"]) == (execution_type, "FILLED")
    assert recorder.payloads("ACCOUNT_UPDATE")[0]["a"]["P"][0]["pa"] == "0.000"


def test_an_unannounced_move_shows_in_the_position_and_in_no_event(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    move_position(exchange, "BTCUSDT", delta=Decimal("-2"), announced=False)
    assert recorder.events == []
    assert exchange.position("BTCUSDT").amount == -2
    assert not exchange.history.changes("BTCUSDT")[0].announced


def test_impossible_moves_are_refused(exchange: SimulatedExchange) -> None:
    with pytest.raises(ValueError, match="either delta or target"):
        move_position(exchange, "BTCUSDT")
    with pytest.raises(ValueError, match="step size"):
        move_position(exchange, "BTCUSDT", delta=Decimal("0.0001"))
    with pytest.raises(ValueError, match="position mode"):
        move_position(exchange, "BTCUSDT", delta=Decimal(1), position_side="LONG")
    with pytest.raises(ApiError, match="-1121"):
        move_position(exchange, "NOSUCHUSDT", delta=Decimal(1))
    assert move_position(exchange, "BTCUSDT", target=Decimal(0)) is None


def test_a_leg_cannot_be_moved_across_zero(exchange: SimulatedExchange) -> None:
    exchange.set_hedge_mode(True)
    with pytest.raises(ValueError, match="SHORT cannot become 1"):
        move_position(exchange, "BTCUSDT", target=Decimal(1), position_side="SHORT")


def test_a_funding_fee_is_an_account_update_without_positions(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    before = exchange.wallet_balance
    change_balance(exchange, "FUNDING_FEE", Decimal("-1.25"))
    (event,) = recorder.payloads("ACCOUNT_UPDATE")
    assert (event["a"]["m"], event["a"]["P"]) == ("FUNDING_FEE", [])
    assert event["a"]["B"][0]["bc"] == "-1.25000000"
    assert exchange.wallet_balance == before - Decimal("1.25")


@pytest.mark.parametrize("reason", get_args(BalanceReason))
def test_every_documented_reason_can_be_reported_with_and_without_the_unchanged_position(
    exchange: SimulatedExchange, reason: BalanceReason
) -> None:
    exchange.place_order(market("BUY", "0.038"))
    recorder = Recorder(exchange)
    change_balance(exchange, reason, Decimal(3))
    change_balance(exchange, reason, Decimal(-3), symbol="BTCUSDT")
    without, with_position = (event["a"] for event in recorder.payloads("ACCOUNT_UPDATE"))
    assert (without["m"], with_position["m"]) == (reason, reason)
    assert without["P"] == []
    assert [(row["s"], row["pa"]) for row in with_position["P"]] == [("BTCUSDT", "0.038")]
    assert ("S" in with_position, "S" in without) == (reason == "FUNDING_FEE", False)
    assert len(exchange.history.changes("BTCUSDT")) == 1


def test_an_update_of_an_unchanged_position_has_a_transaction_time_of_its_own(
    exchange: SimulatedExchange,
) -> None:
    recorder = Recorder(exchange)
    exchange.place_order(market("BUY", "0.038"))
    change_balance(exchange, "MARGIN_TRANSFER", Decimal(1), symbol="BTCUSDT")
    exchange.place_order(market("BUY", "0.038"))
    times = [event["T"] for event in recorder.payloads("ACCOUNT_UPDATE")]
    assert times == sorted(set(times))


def test_a_stop_order_is_reported_as_a_conditional_order_around_its_fill(exchange: SimulatedExchange) -> None:
    exchange.place_order(market("BUY", "0.038"))
    recorder = Recorder(exchange)
    order = move_position(exchange, "BTCUSDT", target=Decimal(0), cause="stop")
    assert order is not None
    types = [event["e"] for event in recorder.payloads()]
    assert types == [
        "ORDER_TRADE_UPDATE",
        "ALGO_UPDATE",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
        "ALGO_UPDATE",
    ]
    triggered, finished = (event["o"] for event in recorder.payloads("ALGO_UPDATE"))
    assert (triggered["X"], triggered["aq"]) == ("TRIGGERED", "0.000")
    assert (finished["X"], finished["aq"], finished["ai"]) == ("FINISHED", "0.038", str(order.order_id))


def test_a_leverage_change_is_announced(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    set_leverage(exchange, "BTCUSDT", 7)
    assert recorder.payloads("ACCOUNT_CONFIG_UPDATE")[0]["ac"] == {"s": "BTCUSDT", "l": 7}


def test_any_bytes_can_be_put_on_the_stream(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    send_frame(exchange, b"\xff{not json")
    assert recorder.events[0].frame == b"\xff{not json"
