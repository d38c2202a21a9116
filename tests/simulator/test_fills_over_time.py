"""Orders that are filled in parts, later, or not whole: on the exchange's own clock, without sleeping."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import NewOrder, RunningSimulator, SimulatedExchange, keep_advancing
from simulator.errors import ApiError
from simulator.symbols import load_symbols
from tests.simulator.clients import HandClock, HttpClient, Recorder, limit, market, order_events

SYMBOLS = {name: load_symbols()[name] for name in ("BTCUSDT", "ETHUSDT")}


def test_an_order_is_filled_in_parts_at_an_interval(exchange: SimulatedExchange, clock: HandClock) -> None:
    recorder = Recorder(exchange)
    faults = exchange.faults
    faults.fills_per_order, faults.fill_interval_ms, faults.first_fill_after_ms = 3, 200, 50
    began_ms = clock.now_ms
    order = exchange.place_order(market("BUY", "1"))
    assert order.status == "NEW"
    moments = []
    while (due_ms := exchange.due.next_ms) is not None:
        clock.now_ms = due_ms - 1
        exchange.advance()
        executed = order.executed
        clock.now_ms = due_ms
        exchange.advance()
        moments.append((due_ms - began_ms, order.executed - executed))
    assert moments == [(50, Decimal("0.333")), (250, Decimal("0.333")), (450, Decimal("0.334"))]
    assert order_events(recorder) == [
        ("NEW", "NEW", "0.000", "0.000", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.333", "0.333", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.333", "0.666", "0"),
        ("TRADE", "FILLED", "0.334", "1.000", "0"),
    ]
    amounts = [event["a"]["P"][0]["pa"] for event in recorder.payloads("ACCOUNT_UPDATE")]
    assert amounts == ["0.333", "0.666", "1.000"]


def test_the_average_price_is_that_of_all_parts(exchange: SimulatedExchange, clock: HandClock) -> None:
    recorder = Recorder(exchange)
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 2, 100
    exchange.mark_prices.set_price("BTCUSDT", Decimal(50000), hold=True)
    exchange.place_order(market("BUY", "1"))
    exchange.mark_prices.set_price("BTCUSDT", Decimal(51000), hold=True)
    clock.now_ms += 100
    exchange.advance()
    averages = [event["o"]["ap"] for event in recorder.payloads("ORDER_TRADE_UPDATE")]
    assert averages == ["0", "50000.00000000", "50500.00000000"]
    (balance,) = recorder.payloads("ACCOUNT_UPDATE")[-1]["a"]["B"]
    assert Decimal(balance["wb"]) == Decimal(balance["cw"]) == exchange.wallet_balance < 1_000_000
    assert Decimal(balance["bc"]) == 0


@pytest.mark.parametrize(("parts", "executed"), [(0, "0.000"), (1, "0.250"), (3, "0.750")])
def test_a_market_order_may_expire_before_it_is_filled_whole(
    exchange: SimulatedExchange, parts: int, executed: str
) -> None:
    recorder = Recorder(exchange)
    exchange.faults.fills_per_order, exchange.faults.expire_after_fills = 4, parts
    order = exchange.place_order(market("BUY", "1"))
    assert (order.status, str(order.executed)) == ("EXPIRED", executed if parts else "0")
    assert order_events(recorder)[-1] == ("EXPIRED", "EXPIRED", "0.000", executed, "9")
    assert exchange.position("BTCUSDT").amount == Decimal(executed)


def test_the_rest_of_an_ioc_order_expires_for_its_own_reason(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    exchange.faults.fills_per_order, exchange.faults.expire_after_fills = 2, 1
    price = exchange.mark_price("BTCUSDT")
    exchange.place_order(limit("BUY", "0.02", str(price), "IOC"))
    assert order_events(recorder)[-1] == ("EXPIRED", "EXPIRED", "0.000", "0.010", "2")


@pytest.mark.parametrize(("expires", "executed"), [(None, "0.02"), (1, "0")])
def test_a_fok_order_is_filled_whole_at_one_moment_or_not_at_all(
    exchange: SimulatedExchange, expires: int | None, executed: str
) -> None:
    recorder = Recorder(exchange)
    faults = exchange.faults
    faults.fills_per_order, faults.fill_interval_ms, faults.expire_after_fills = 2, 100, expires
    order = exchange.place_order(limit("BUY", "0.02", str(exchange.mark_price("BTCUSDT")), "FOK"))
    assert (order.is_final, order.executed) == (True, Decimal(executed))
    assert order_events(recorder)[-1][-1] == ("0" if expires is None else "10")


def test_an_order_keeps_the_switches_of_when_it_began(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 2, 100
    order = exchange.place_order(market("BUY", "1"))
    exchange.faults.clear()
    assert exchange.place_order(market("BUY", "1")).status == "FILLED"
    assert not order.is_final
    clock.now_ms += 100
    exchange.advance()
    assert order.status == "FILLED"


def test_a_cancelled_order_is_not_filled_any_further(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 2, 100
    order = exchange.place_order(market("BUY", "1"))
    exchange.cancel_order("BTCUSDT", order_id=order.order_id)
    clock.now_ms += 1000
    exchange.advance()
    assert (order.status, order.executed) == ("CANCELED", Decimal("0.5"))


def test_a_wiped_account_is_not_filled_any_further(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 2, 100
    exchange.place_order(market("BUY", "1"))
    exchange.wipe_account()
    clock.now_ms += 1000
    exchange.advance()
    assert exchange.open_positions() == []


def test_a_close_in_parts_never_turns_the_position(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.set_hedge_mode(True)
    exchange.place_order(market("BUY", "1", leg="LONG"))
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 2, 100
    first = exchange.place_order(market("SELL", "1", leg="LONG"))
    second = exchange.place_order(market("SELL", "0.5", leg="LONG"))
    for _ in range(2):
        clock.now_ms += 100
        exchange.advance()
    assert exchange.position("BTCUSDT", "LONG").amount == 0
    assert first.executed + second.executed == 1
    assert {first.status, second.status} == {"EXPIRED"}


async def test_a_running_simulator_fills_on_time_and_answers_the_state_of_the_moment(
    simulator: RunningSimulator, client: HttpClient
) -> None:
    await client.http.post("/simulator/faults", json={"fills_per_order": 2, "fill_interval_ms": 60})
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    answer = (await client.signed("POST", "/fapi/v1/order", **order, newOrderRespType="RESULT")).json()
    assert (answer["status"], answer["executedQty"]) == ("PARTIALLY_FILLED", "0.500")
    seen = trio.Event()

    class Witness(Recorder):
        def deliver(self, event: object) -> None:
            seen.set()

    Witness(simulator.exchange)
    await seen.wait()
    assert simulator.exchange.position("BTCUSDT").amount == 1


async def test_virtual_time_drives_the_fills(autojump_clock: trio.testing.MockClock) -> None:
    exchange = SimulatedExchange(symbols=SYMBOLS, host_ms=lambda: round(trio.current_time() * 1000))
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 3, 30_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_advancing, exchange)
        await trio.testing.wait_all_tasks_blocked()
        order = exchange.place_order(market("BUY", "1"))
        await trio.sleep(59.9)
        assert order.executed == Decimal("0.666")
        await trio.sleep(0.2)
        assert order.status == "FILLED"
        nursery.cancel_scope.cancel()


async def test_a_fill_that_comes_due_while_the_clock_is_read_is_not_too_late() -> None:
    reads = count(step=5)  # the clock goes on by 5 ms whenever it is read
    exchange = SimulatedExchange(symbols=SYMBOLS, host_ms=lambda: next(reads))
    exchange.faults.fills_per_order, exchange.faults.fill_interval_ms = 20, 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_advancing, exchange)
        order = exchange.place_order(market("BUY", "1"))
        with trio.fail_after(5):
            while order.status != "FILLED":
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


requests = st.one_of(
    st.builds(
        market,
        side=st.sampled_from(["BUY", "SELL"]),
        quantity=st.sampled_from(["0.001", "0.010", "0.333"]),
        reduce_only=st.booleans(),
    ),
    st.builds(
        limit,
        side=st.sampled_from(["BUY", "SELL"]),
        quantity=st.sampled_from(["0.002", "0.050"]),
        price=st.sampled_from(["49000", "49990", "50000", "50010", "51000"]),
        in_force=st.sampled_from(["GTC", "IOC", "FOK", "GTX"]),
    ),
)
switches = st.fixed_dictionaries(
    {
        "fills_per_order": st.integers(1, 4),
        "fill_interval_ms": st.sampled_from([0, 1, 150]),
        "first_fill_after_ms": st.sampled_from([0, 70]),
        "expire_after_fills": st.sampled_from([None, None, 0, 1, 2]),
        "unfillable_limit_orders": st.sampled_from(["refused", "expired"]),
    }
)
steps = st.lists(
    st.tuples(
        requests, switches, st.sampled_from([0, 3, 160, 1000]), st.sampled_from([None, "cancel", "fill"])
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(steps)
def test_whatever_is_sent_the_events_add_up_to_the_position(
    moves: list[tuple[NewOrder, dict[str, Any], int, str | None]],
) -> None:
    clock = HandClock()
    exchange = SimulatedExchange(symbols=SYMBOLS, host_ms=clock)
    exchange.mark_prices.set_price("BTCUSDT", Decimal(50000))
    recorder = Recorder(exchange)
    for request, changes, waits_ms, act in moves:
        exchange.faults.patch(changes)
        assert refused_with(exchange, request) in (None, -2022, -4164, -5021, -5022)
        if act == "fill" and exchange.orders.open():
            exchange.fill_remainder(exchange.orders.open()[0], Decimal("0.001"))
        if act == "cancel":
            exchange.cancel_all_orders("BTCUSDT")
        clock.now_ms += waits_ms
        exchange.advance()
    _check_events(exchange, recorder)


def refused_with(exchange: SimulatedExchange, request: NewOrder) -> int | None:
    try:
        exchange.place_order(request)
    except ApiError as refusal:
        return refusal.code
    return None


def _check_events(exchange: SimulatedExchange, recorder: Recorder) -> None:
    filled: dict[int, Decimal] = {}
    ended: set[int] = set()
    moved = Decimal(0)
    for event in (each["o"] for each in recorder.payloads("ORDER_TRADE_UPDATE")):
        assert event["i"] not in ended, "an order changed after its end"
        filled[event["i"]] = filled.get(event["i"], Decimal(0)) + Decimal(event["l"])
        assert Decimal(event["z"]) == filled[event["i"]] <= Decimal(event["q"])
        moved += Decimal(event["l"]) * (1 if event["S"] == "BUY" else -1)
        if event["X"] not in ("NEW", "PARTIALLY_FILLED"):
            ended.add(event["i"])
    assert moved == exchange.position("BTCUSDT").amount
    still_open = {order.order_id for order in exchange.orders.open()}
    assert still_open == filled.keys() - ended
