"""Binance's own SDK trades the account beside the executor: neither touches the other's orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import trio
from binance_sdk_derivatives_trading_usds_futures.rest_api.models import (
    NewOrderNewOrderRespTypeEnum,
    NewOrderReduceOnlyEnum,
    NewOrderSideEnum,
    NewOrderTimeInForceEnum,
    NewOrderTypeEnum,
)

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.execution_load import opening
from tests.integration.pipeline import Pipeline, full_close
from tests.integration.played_governor import PlayedGovernor, VenueOrder, id_at_exchange
from tests.integration.surroundings import SYMBOLS, environment, stream_is_trusted
from tests.integration.waiting import until
from tests.simulator.official_client import OfficialRest
from tests.simulator.official_rig import no_complaints as no_complaints

THEIRS_ALONE, *SHARED = SYMBOLS
ORDERS = "/fapi/v1/order"


class OfficialTrader:
    """Trades by the SDK. `placed`: the ids of its orders by symbol."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self.rest = OfficialRest(simulator)
        self._exchange = simulator.exchange
        self.placed: dict[str, list[int]] = {}

    async def rest_far_below(self, symbol: str) -> None:
        """Place a limit order that does not match."""
        listed = self._exchange.symbol(symbol)
        price = (self._exchange.mark_price(symbol) * Decimal("0.96")) // listed.tick_size * listed.tick_size
        await self._place(
            symbol,
            side=NewOrderSideEnum.BUY,
            type=NewOrderTypeEnum.LIMIT,
            time_in_force=NewOrderTimeInForceEnum.GTC,
            quantity=float(opening(listed)["qty"]),
            price=float(price),
            new_client_order_id=f"theirs-{symbol}",
        )

    async def buy_and_sell(self, symbol: str) -> None:
        """Open a position, and close it."""
        for side, only_reduces in (("BUY", None), ("SELL", NewOrderReduceOnlyEnum.TRUE)):
            placed = await self._place(
                symbol,
                side=NewOrderSideEnum[side],
                type=NewOrderTypeEnum.MARKET,
                quantity=float(opening(self._exchange.symbol(symbol))["qty"]),
                reduce_only=only_reduces,
                new_order_resp_type=NewOrderNewOrderRespTypeEnum.RESULT,
            )
            assert placed.status == "FILLED"

    async def _place(self, symbol: str, **terms: object) -> Any:
        placed = await self.rest.ask("new_order", symbol=symbol, **terms)
        self.placed.setdefault(symbol, []).append(placed.order_id)
        return placed

    async def order_of(self, plan_id: str, symbol: str) -> Any:
        """Return the executor's order of a plan, as the SDK finds it by the client order id."""
        return await self.rest.ask("query_order", symbol=symbol, orig_client_order_id=id_at_exchange(plan_id))

    async def cancel(self, symbol: str, client_order_id: str) -> Any:
        return await self.rest.ask("cancel_order", symbol=symbol, orig_client_order_id=client_order_id)


async def test_the_official_client_sees_the_executors_orders_and_neither_touches_the_others(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    faults = simulator.exchange.faults
    faults.rest_latency_ms, faults.fills_per_order, faults.fill_interval_ms = 5.0, 2, 30.0
    faults.resting_orders_fill = False
    governor, trader = PlayedGovernor(pipeline), OfficialTrader(simulator)
    plans: dict[str, str] = {}
    async with daemon_process(environment(redis_server, simulator, {"P33_EXECUTOR": "on"})) as process:
        url = await process.ready()
        await governor.executor_reads()
        await governor.has_price(SYMBOLS[-1])
        await stream_is_trusted(url)
        for symbol in SHARED:
            await trader.rest_far_below(symbol)
        for turn in ("open", "close"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trader.buy_and_sell, THEIRS_ALONE)
                for symbol in SHARED:
                    plan_id = f"{turn}-{symbol}"
                    plans[plan_id] = symbol
                    listed = simulator.exchange.symbol(symbol)
                    governor.publish(plan_id, opening(listed) if turn == "open" else full_close(symbol))
            await governor.all_end(plans, 20)
            await until(governor.nothing_open, "no order is open and no symbol held", 10)
        for plan_id, symbol in plans.items():
            _assert_same(await trader.order_of(plan_id, symbol), governor, plan_id)
        assert await _open_orders(trader) == {f"theirs-{symbol}" for symbol in SHARED}
        for symbol in SHARED:
            assert (await trader.cancel(symbol, f"theirs-{symbol}")).status == "CANCELED"
        assert pipeline.redis.keys("quantum:reconcile:hold:*") == []
        assert process.alive and "Actor failed" not in process.output
    await _assert_each_has_its_own(trader, plans)
    governor.assert_results_fit(
        (order for order in _orders(simulator) if order.client_order_id.startswith("p33-")), plans
    )
    assert governor.results.keys() == plans.keys()
    assert {name: pipeline.ledger_amount(name) for name in SHARED} == dict.fromkeys(SHARED, "0")


async def test_an_order_that_the_official_client_cancels_half_filled_ends_with_what_was_filled(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    simulator.exchange.first_fill_share = Decimal("0.5")
    governor, trader, symbol = PlayedGovernor(pipeline), OfficialTrader(simulator), "XRPUSDT"
    async with daemon_process(environment(redis_server, simulator, {"P33_EXECUTOR": "on"})) as process:
        await process.ready()
        await governor.executor_reads()
        await governor.has_price(symbol)
        governor.publish("plan-1", opening(simulator.exchange.symbol(symbol)))
        await until(lambda: governor.record("plan-1").get("state") == "working", "its order is half filled")
        assert await _open_orders(trader) == {id_at_exchange("plan-1")}
        cancelled = await trader.cancel(symbol, id_at_exchange("plan-1"))
        result = await governor.result("plan-1")
        assert (result["executed"], result["order_status"], result["error"]) == ("true", "CANCELED", "")
        assert Decimal(cancelled.executed_qty) == Decimal(result["filled_qty"]) > 0
        _assert_same(await trader.order_of("plan-1", symbol), governor, "plan-1")
        governor.assert_results_fit(_orders(simulator), ["plan-1"])
        await pipeline.ledger_reaches(symbol, result["filled_qty"])
        await until(governor.nothing_open, "no order is open and no symbol held", 5)
        assert process.alive and "Actor failed" not in process.output


async def test_in_hedge_mode_the_official_client_sees_the_leg_of_each_order_and_the_leverage(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    simulator.exchange.set_hedge_mode(True)
    governor, trader, symbol = PlayedGovernor(pipeline), OfficialTrader(simulator), "XRPUSDT"
    quantity = Decimal(opening(simulator.exchange.symbol(symbol))["qty"])
    async with daemon_process(environment(redis_server, simulator, {"P33_EXECUTOR": "on"})) as process:
        await process.ready()
        await governor.executor_reads()
        await governor.has_price(symbol)
        for turn, legs in (
            ("open", {"LONG": "BUY", "SHORT": "SELL"}),
            ("close", {"LONG": "SELL", "SHORT": "BUY"}),
        ):
            for leg, side in legs.items():
                plan_id = f"{turn}-{leg}"
                plan = opening(simulator.exchange.symbol(symbol)) | {"side": side, "leverage": "7"}
                closes = full_close(symbol)
                governor.publish(plan_id, (plan if turn == "open" else closes) | {"positionSide": leg})
                result = await governor.result(plan_id)
                assert (result["executed"], result["error"]) == ("true", "")
                found = await trader.order_of(plan_id, symbol)
                assert (found.side, found.position_side) == (side, leg)
                assert Decimal(found.executed_qty) == Decimal(result["filled_qty"]) == quantity
                amount = quantity if turn == "open" else Decimal(0)
                held = simulator.exchange.position(symbol, "LONG" if leg == "LONG" else "SHORT").amount
                assert abs(held) == amount
                await until(governor.nothing_open, "no order is open and no symbol held", 5)
        (configured,) = await trader.rest.ask("symbol_configuration", symbol=symbol)
        assert configured.leverage == 7
        assert process.alive and "Actor failed" not in process.output
    sent = [each for each in simulator.exchange.requests.records(path=ORDERS) if each.method == "POST"]
    assert len(sent) == 4
    assert not any("reduceOnly" in each.query for each in sent)


def _assert_same(found: Any, governor: PlayedGovernor, plan_id: str) -> None:
    """Check that the SDK's order, the executor's record and its last result say the same."""
    result, record = governor.results[plan_id][-1], governor.record(plan_id)
    shown = (
        str(found.order_id), found.symbol, found.side, found.client_order_id, found.status,
        found.type, found.position_side, Decimal(found.orig_qty), Decimal(found.executed_qty),
    )  # fmt: skip
    for fields, quantity, filled, status in (
        (result, "qty", "filled_qty", "order_status"),
        (record, "quantity", "cumulative", "status"),
    ):
        said = (
            fields["order_id"], fields["symbol"], fields["side"], fields["client_order_id"], fields[status],
            "MARKET", "BOTH", Decimal(fields[quantity]), Decimal(fields[filled]),
        )  # fmt: skip
        assert shown == said, plan_id
    assert found.reduce_only is (result["reduceOnly"] == "true")
    if result["avg_price"]:
        assert Decimal(found.avg_price) == Decimal(result["avg_price"])


async def _open_orders(trader: OfficialTrader) -> set[str]:
    return {each.client_order_id for each in await trader.rest.ask("current_all_open_orders")}


async def _assert_each_has_its_own(trader: OfficialTrader, plans: dict[str, str]) -> None:
    """Check that every order there ever was is the SDK's own, or the only one of a plan."""
    for name in SYMBOLS:
        ours = {id_at_exchange(plan_id) for plan_id, symbol in plans.items() if symbol == name}
        found = await trader.rest.ask("all_orders", symbol=name)
        theirs = [each.order_id for each in found if each.client_order_id not in ours]
        assert theirs == trader.placed[name], name
        assert len(found) == len(theirs) + len(ours), name


def _orders(simulator: RunningSimulator) -> list[VenueOrder]:
    return [
        VenueOrder(order.order_id, order.client_order_id, name, order.status, order.executed)
        for name in SYMBOLS
        for order in simulator.exchange.orders.of(name)
    ]
