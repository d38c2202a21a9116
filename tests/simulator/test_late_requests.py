"""Requests that arrive when their sender has given up: judged at the moment of their arrival."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest

from simulator import RestApi, RestRequest, RunningSimulator, SimulatedExchange
from tests.integration.waiting import until
from tests.simulator.clients import HandClock, HttpClient, signed_query

PATH = "/fapi/v1/order"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


def send_late(exchange: SimulatedExchange, **more: object) -> None:
    query = signed_query(exchange, exchange.exchange_ms(), **{**ORDER, **more})
    request = RestRequest(method="POST", path=PATH, query=query, api_key=exchange.api_key)
    RestApi(exchange).answer(request, "late")


@pytest.mark.parametrize(
    ("late_ms", "window_ms", "bought"),
    [(5000, 5000, "0.010"), (5001, 5000, "0"), (60_000, 60_000, "0.010"), (3001, 3000, "0")],
)
def test_a_late_order_is_taken_within_its_window_only(
    exchange: SimulatedExchange, clock: HandClock, late_ms: int, window_ms: int, bought: str
) -> None:
    exchange.faults.late_ms = late_ms
    send_late(exchange, recvWindow=window_ms)
    clock.now_ms += late_ms - 1
    exchange.advance()
    assert len(exchange.orders) == 0
    clock.now_ms += 1
    exchange.advance()
    assert exchange.position("BTCUSDT").amount == Decimal(bought)


def test_the_exchanges_own_clock_judges_a_late_order(exchange: SimulatedExchange, clock: HandClock) -> None:
    exchange.faults.late_ms = 4000
    send_late(exchange)
    exchange.faults.clock_skew_ms = 2000
    clock.now_ms += 4000
    exchange.advance()
    assert len(exchange.orders) == 0


def test_late_orders_overtake_each_other_and_any_request_lets_them_arrive(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    for late_ms, client_id in ((3000, "first"), (1000, "second")):
        exchange.faults.late_ms = late_ms
        send_late(exchange, newClientOrderId=client_id)
    clock.now_ms += 4000
    RestApi(exchange).answer(RestRequest(method="GET", path="/fapi/v1/time"))
    assert [order.client_order_id for order in exchange.orders.of("BTCUSDT")] == ["second", "first"]


async def test_the_sender_hears_nothing_and_the_order_comes(
    simulator: RunningSimulator, client: HttpClient
) -> None:
    faults = {"rest_faults_next": ["late"], "rest_fault_methods": ["POST"], "late_ms": 150}
    await client.http.post("/simulator/faults", json=faults)
    client.http.timeout = httpx.Timeout(0.05)
    with pytest.raises(httpx.ReadTimeout):
        await client.signed("POST", PATH, **ORDER)
    client.http.timeout = httpx.Timeout(5)
    assert (await client.signed("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")).json() == []
    await until(lambda: len(simulator.exchange.orders) == 1, "the order arrived")
    assert simulator.exchange.open_positions()[0].amount == Decimal("0.010")


async def test_a_fault_of_order_requests_leaves_their_queries_alone(client: HttpClient) -> None:
    faults = {"rest_faults_next": ["503_unknown"], "rest_fault_paths": [PATH], "rest_fault_methods": ["POST"]}
    await client.http.post("/simulator/faults", json=faults)
    assert (await client.signed("GET", PATH, symbol="BTCUSDT", orderId=1)).status_code == 400
    assert (await client.signed("DELETE", PATH, symbol="BTCUSDT", orderId=1)).status_code == 400
    assert (await client.signed("POST", PATH, **ORDER)).status_code == 503
