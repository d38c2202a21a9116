"""The account's order counts: headers, limits, windows."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator import RestApi, RestRequest, RestResponse, SimulatedExchange
from tests.simulator.clients import HandClock, ask, decoded, error_code, signed_query

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


def place(exchange: SimulatedExchange, **more: object) -> RestResponse:
    return ask(exchange, "POST", "/fapi/v1/order", **{**ORDER, **more})


def refusal(response: RestResponse) -> dict[str, Any]:
    assert response.status == 429
    body: dict[str, Any] = msgspec.json.decode(response.body)
    return body


def counts(response: RestResponse) -> tuple[str | None, str | None]:
    headers = response.headers
    return headers.get("X-MBX-ORDER-COUNT-10S"), headers.get("X-MBX-ORDER-COUNT-1M")


def test_orders_are_counted_in_windows_of_ten_seconds_and_of_a_minute(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    clock.now_ms = 1_700_000_040_000
    assert counts(place(exchange)) == ("1", "1")
    clock.now_ms += 9_999
    assert counts(place(exchange)) == ("2", "2")
    clock.now_ms += 1
    assert counts(place(exchange)) == ("1", "3")
    clock.now_ms += 50_000
    assert counts(place(exchange)) == ("1", "1")


def test_refused_orders_count_and_other_requests_do_not(exchange: SimulatedExchange) -> None:
    assert counts(place(exchange, quantity="0")) == ("1", "1")
    assert counts(ask(exchange, "GET", "/fapi/v1/allOrders", symbol="BTCUSDT")) == (None, None)
    assert counts(place(exchange)) == ("2", "2")
    query = signed_query(exchange, exchange.exchange_ms(), **ORDER)
    forged = RestRequest(method="POST", path="/fapi/v1/order", query=f"{query}0", api_key=exchange.api_key)
    assert counts(RestApi(exchange).answer(forged)) == (None, None)
    assert counts(place(exchange)) == ("3", "3")


def test_an_order_beyond_either_limit_is_1015_and_the_next_window_takes_it(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    clock.now_ms = 1_700_000_040_000
    answers = [place(exchange) for _ in range(301)]
    assert [answer.status for answer in answers] == [200] * 300 + [429]
    words = "Too many new orders; current limit is 300 orders per TEN_SECONDS."
    assert refusal(answers[-1]) == {"code": -1015, "msg": words}
    assert "Retry-After" not in answers[-1].headers
    assert exchange.weights.banned_until_ms == 0
    exchange.order_counts.set_used(clock.now_ms, in_minute=1200)
    clock.now_ms += 10_000
    assert "1200 orders per MINUTE" in refusal(place(exchange))["msg"]
    clock.now_ms += 50_000
    assert place(exchange).status == 200


def test_the_limits_are_in_the_exchange_information_and_can_be_changed(exchange: SimulatedExchange) -> None:
    exchange.order_counts.per_10_sec = 2
    limits = decoded(ask(exchange, "GET", "/fapi/v1/exchangeInfo"))["rateLimits"]
    orders = {
        (each["interval"], each["intervalNum"], each["limit"])
        for each in limits
        if each["rateLimitType"] == "ORDERS"
    }
    assert orders == {("SECOND", 10, 2), ("MINUTE", 1, 1200)}
    assert [place(exchange).status for _ in range(3)] == [200, 200, 429]
    assert error_code(place(exchange)) == -1015
