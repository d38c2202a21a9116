"""The order of `check --measure`: never without a yes, and never left open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
import trio

from brain.symbols.symbol_rules import SymbolRules
from commands.check.measure.clocks import measure_clock
from commands.check.measure.order import MeasuredOrder
from commands.check.measure.order_plan import least_quantity, plan_order
from commands.check.measure.pace import Pace
from commands.check.measure.table import Table
from exchange.errors import ExchangeError
from simulator.faults import RestFault
from simulator.request_log import RequestRecord
from tests.commands.measure.rig import QUICK, Rig, answering
from tests.integration.surroundings import trade
from tests.integration.waiting import until

SYMBOL = "BTCUSDT"
ORDER = "an order of the least size and its close"


def is_flat(measured: Rig) -> bool:
    return not measured.exchange.open_positions()


async def test_an_order_and_its_close_after_a_yes(measured: Rig) -> None:
    asked: list[str] = []
    found = await measured.measure(ask=answering("y", asked), order_symbol=SYMBOL)
    assert found.code == 0
    assert asked[0].startswith("Send a market order BUY 0.001 BTCUSDT (about 6")
    assert "the simulator" in asked[0]
    assert "Play money" in asked[0]
    buy, close = measured.orders()
    assert "side=BUY" in buy.query
    assert "side=SELL" in close.query
    assert "reduceOnly=true" in close.query
    assert found.row("`avgPrice`, `cumQuote`").result == "as documented"
    assert "executedQty" in found.row("keys of that answer").found
    assert found.row("its status").found == "FILLED, executedQty 0.001"
    assert found.row("`GET /fapi/v1/order` by").found == "found at once"
    events = found.row("events of the order").found
    order = ["ORDER_TRADE_UPDATE NEW", "TRADE_LITE", "ORDER_TRADE_UPDATE FILLED", "ACCOUNT_UPDATE", "answer"]
    assert sorted(order, key=events.index) == order
    assert found.row("the same client id").result == "as documented"
    assert found.row("position in BTCUSDT afterwards").found == "none"
    assert is_flat(measured)


async def test_an_undocumented_behaviour_is_shown_and_the_order_closed(measured: Rig) -> None:
    faults = measured.exchange.faults
    faults.client_ids_unique_forever, faults.order_answers_with_average = True, True
    faults.order_visible_after_ms = 30
    found = await measured.measure(ask=answering("y"), order_symbol=SYMBOL)
    assert found.row("`avgPrice`, `cumQuote`").result == "DIFFERS"
    assert found.row("the same client id").result == "DIFFERS"
    assert found.row("the same client id").found.startswith("Binance error -4116")
    assert "ms later, at try" in found.row("`GET /fapi/v1/order` by").found
    _, again, close = measured.orders()
    assert "side=SELL" in again.query
    assert "reduceOnly=true" in close.query
    assert is_flat(measured)


async def test_in_hedge_mode_the_long_leg_is_opened_and_closed(measured: Rig) -> None:
    measured.exchange.set_hedge_mode(True)
    found = await measured.measure(ask=answering("y"), order_symbol=SYMBOL)
    assert found.code == 0
    assert all("positionSide=LONG" in each.query for each in measured.orders())
    assert not any("reduceOnly" in each.query for each in measured.orders())
    assert is_flat(measured)


@pytest.mark.parametrize("answer", ["", "n", SYMBOL])
async def test_no_order_without_a_yes(answer: str, measured: Rig) -> None:
    found = await measured.measure(ask=answering(answer), order_symbol=SYMBOL)
    assert found.row(ORDER).result == "skipped"
    assert found.code == 0
    assert not measured.orders()


async def test_no_order_without_a_terminal(measured: Rig) -> None:
    found = await measured.measure(order_symbol=SYMBOL, delete_key=True)
    assert (found.code, found.row(ORDER).result) == (1, "NOT MEASURED")
    assert not measured.orders()


async def test_no_order_in_a_symbol_with_a_position(measured: Rig) -> None:
    trade(measured.exchange, SYMBOL, "SELL", "0.002")
    found = await measured.measure(ask=answering("y"), order_symbol=SYMBOL)
    assert found.row(ORDER).found == "BTCUSDT has a position of 0.002: name a symbol without one"
    assert not measured.orders()


async def test_an_unknown_symbol_is_named(measured: Rig) -> None:
    found = await measured.measure(ask=answering("y"), order_symbol="NOSUCHUSDT")
    assert found.row(ORDER).found == "NOSUCHUSDT does not trade at this exchange"


async def test_a_refused_order_is_named_and_opens_nothing(measured: Rig) -> None:
    measured.exchange.key_rights.enable_futures = False
    found = await measured.measure(ask=answering("y"), order_symbol=SYMBOL)
    assert found.code == 1
    assert "-2015" in found.row(ORDER).found
    assert len(measured.orders()) == 1


@pytest.mark.parametrize(
    ("step", "least", "notional", "price", "expected"),
    [
        ("0.001", "0.001", "5", "65000", "0.001"),
        ("0.001", "0.001", "100", "65000", "0.002"),
        ("1", "1", "5", "0.25", "21"),
        ("0.1", "3", "5", "10", "3.0"),
    ],
)
def test_the_least_quantity_is_above_lot_and_notional(
    step: str, least: str, notional: str, price: str, expected: str
) -> None:
    rules = SymbolRules(SYMBOL, True, Decimal(step), Decimal(least), Decimal(1000))
    assert least_quantity(rules, Decimal(notional), Decimal(price)) == Decimal(expected)


@asynccontextmanager
async def ready_order(measured: Rig, pace: Pace = QUICK) -> AsyncIterator[tuple[MeasuredOrder, Table]]:
    """Yield an order that was planned and agreed to."""
    access, table = measured.access(), Table()
    async with aclosing(access):
        await measure_clock(access, pace)
        plan = await plan_order(access, SYMBOL)
        yield MeasuredOrder(access, plan, table, pace), table


def found_in(table: Table, asked: str) -> str:
    (found,) = [row.found for row in table.rows if row.asked.startswith(asked)]
    return found


def is_sent(orders: list[RequestRecord]) -> bool:
    return bool(orders) and not orders[0].status


def is_answered(orders: list[RequestRecord]) -> bool:
    return bool(orders) and bool(orders[0].status)


def is_being_closed(orders: list[RequestRecord]) -> bool:
    return len(orders) == 2


@pytest.mark.parametrize("moment", [is_sent, is_answered, is_being_closed])
async def test_an_interrupt_at_any_moment_leaves_no_position(
    moment: Callable[[list[RequestRecord]], bool], measured: Rig
) -> None:
    async with ready_order(measured) as (order, table):
        measured.exchange.faults.rest_latency_ms = 100
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def interrupt() -> None:
                    await until(lambda: moment(measured.orders()), "the moment")
                    scope.cancel()

                nursery.start_soon(interrupt)
                await order.run()
        assert scope.cancelled_caught
    assert is_flat(measured)
    assert "side=SELL" in measured.orders()[-1].query
    looked_up = [each for each in measured.exchange.requests.records() if "origClientOrderId" in each.query]
    assert moment is not is_sent or not looked_up, "the answer is waited for"
    assert found_in(table, "position in BTCUSDT afterwards") == "none"


async def test_an_interrupt_before_the_order_sends_none(measured: Rig) -> None:
    async with ready_order(measured) as (order, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await order.run()
    assert not measured.orders()


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("fault", ["503_unknown", "reset", "truncated"])
async def test_an_order_without_an_answer_is_looked_up_and_closed(
    fault: RestFault, executed: bool, measured: Rig
) -> None:
    faults = measured.exchange.faults
    async with ready_order(measured) as (order, table):
        faults.fail_before_effect = not executed
        faults.rest_fault_paths, faults.rest_faults_next = ["/fapi/v1/order"], [fault]
        with pytest.raises(ExchangeError):
            await order.run()
    assert is_flat(measured)
    assert len(measured.orders()) == (2 if executed else 1)
    assert found_in(table, "position in BTCUSDT afterwards") == "none"


async def test_a_close_without_an_answer_is_not_sent_twice(measured: Rig) -> None:
    faults = measured.exchange.faults
    async with ready_order(measured) as (order, table):
        faults.rest_fault_paths = ["/fapi/v1/order"]
        faults.rest_faults_next = ["", "", "503_unknown"]  # type: ignore[list-item]  # buy, query, sell
        await order.run()
    assert is_flat(measured)
    assert len(measured.orders()) == 2
    assert found_in(table, "position in BTCUSDT afterwards") == "none"


async def test_a_ban_in_the_middle_is_waited_for_and_the_order_closed(measured: Rig) -> None:
    pace = msgspec.structs.replace(QUICK, closing_within_sec=30.0)
    faults = measured.exchange.faults
    async with ready_order(measured, pace) as (order, table):
        faults.rest_fault_paths = ["/fapi/v1/order"]
        faults.rest_faults_next = ["", "429"]  # type: ignore[list-item]  # the query after the order
        with pytest.raises(ExchangeError):
            await order.run()
    assert is_flat(measured)
    assert found_in(table, "position in BTCUSDT afterwards") == "none"
    buy, close = measured.orders()
    assert close.wall_time_ms - buy.wall_time_ms >= 4900, "nothing is asked during the pause of 5 s"


async def test_a_position_that_cannot_be_closed_in_time_is_named(measured: Rig) -> None:
    pace = msgspec.structs.replace(QUICK, closing_within_sec=0.5)
    faults = measured.exchange.faults
    async with ready_order(measured, pace) as (order, table):
        faults.rest_fault_paths = ["/fapi/v1/order"]
        faults.rest_faults_next = ["", "418"]  # type: ignore[list-item]
        with pytest.raises(ExchangeError):
            await order.run()
    assert table.exit_code == 1
    assert found_in(table, "position in BTCUSDT afterwards").startswith("IT MAY BE OPEN")


async def test_no_more_is_sold_than_was_bought(measured: Rig) -> None:
    """Another process buys the same symbol at the same time: its position stays, and is named."""
    async with ready_order(measured) as (order, table):
        measured.exchange.faults.rest_latency_ms = 40

        async def buy_more() -> None:
            await until(measured.orders, "the order")
            trade(measured.exchange, SYMBOL, "BUY", "0.005")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy_more)
            await order.run()
    (left,) = measured.exchange.open_positions()
    assert left.amount == Decimal("0.005")
    assert found_in(table, "position in BTCUSDT afterwards").startswith("0.005, though")
    assert table.exit_code == 1
