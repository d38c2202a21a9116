from __future__ import annotations

import pytest

from simulator import RestApi, RestRequest, SimulatedExchange
from simulator.errors import ApiError
from simulator.weights import RequestWeights
from tests.simulator.clients import HandClock, ask, error_code

POSITIONS = "/fapi/v2/positionRisk"
MINUTE = 60_000
START = 28_000_000 * MINUTE


def refused(weights: RequestWeights, now_ms: int, weight: int = 1) -> int:
    with pytest.raises(ApiError) as refusal:
        weights.charge(now_ms, weight)
    return refusal.value.http_status


def test_weight_is_counted_within_the_clock_minute_only() -> None:
    weights = RequestWeights()
    weights.charge(START + 59_999, 2400)
    assert weights.used(START + 59_999) == 2400
    weights.charge(START + MINUTE, 5)
    assert weights.used(START + MINUTE) == 5


def test_beyond_the_limit_429_until_the_minute_is_over() -> None:
    weights = RequestWeights()
    weights.charge(START + 20_000, 2400)
    assert refused(weights, START + 20_500) == 429
    assert weights.retry_after_sec(START + 20_500) == 40
    weights.charge(START + MINUTE, 1)


def test_a_client_that_goes_on_after_429_is_banned_and_longer_the_second_time() -> None:
    weights = RequestWeights(limit_per_minute=1)
    statuses = [refused(weights, START, 2) for _ in range(11)]
    assert statuses == [429] * 10 + [418]
    first_ban_ms = weights.banned_until_ms - START
    assert refused(weights, START + MINUTE) == 418
    assert weights.retry_after_sec(START) == first_ban_ms // 1000
    later = weights.banned_until_ms
    weights.charge(later, 1)
    assert [refused(weights, later, 2) for _ in range(11)][-1] == 418
    assert weights.banned_until_ms - later == 2 * first_ban_ms


def test_a_ban_can_be_imposed_and_lifted() -> None:
    weights = RequestWeights()
    weights.ban(START, 60_000)
    assert refused(weights, START + 59_999) == 418
    weights.lift_ban()
    weights.charge(START + 59_999, 1)


def test_weight_spent_by_others_on_the_address_counts() -> None:
    weights = RequestWeights()
    weights.set_used(START, 2399)
    weights.charge(START, 1)
    assert refused(weights, START) == 429


def test_going_on_in_a_ban_makes_it_longer_each_time() -> None:
    weights = RequestWeights()
    weights.ban(START, 60_000)
    assert [refused(weights, START + 1000) for _ in range(10)] == [418] * 10
    assert weights.banned_until_ms == START + 60_000
    refused(weights, START + 1000)
    assert weights.banned_until_ms == START + 1000 + 120_000
    for _ in range(11):
        refused(weights, START + 2000)
    assert weights.banned_until_ms == START + 2000 + 240_000


def test_a_ban_is_never_made_shorter_by_going_on() -> None:
    weights = RequestWeights()
    weights.ban(START, 3_600_000)
    for _ in range(11):
        refused(weights, START + 1000)
    assert weights.banned_until_ms == START + 3_600_000


def test_refused_requests_lead_to_a_ban_whatever_refused_them(exchange: SimulatedExchange) -> None:
    api = RestApi(exchange)
    request = RestRequest(method="GET", path="/fapi/v1/time")
    assert [api.answer(request, "429").status for _ in range(12)] == [429] * 10 + [418] * 2


@pytest.mark.parametrize(
    ("method", "path", "symbol", "weight"),
    [
        ("GET", "/fapi/v1/ping", None, 1),
        ("GET", "/fapi/v1/time", None, 1),
        ("GET", "/fapi/v1/exchangeInfo", None, 1),
        ("GET", "/fapi/v2/positionRisk", None, 5),
        ("GET", "/fapi/v2/positionRisk", "BTCUSDT", 5),
        ("GET", "/fapi/v3/positionRisk", None, 5),
        ("GET", "/fapi/v1/premiumIndex", None, 10),
        ("GET", "/fapi/v1/premiumIndex", "BTCUSDT", 1),
        ("GET", "/fapi/v1/ticker/24hr", None, 40),
        ("GET", "/fapi/v1/ticker/24hr", "BTCUSDT", 1),
        ("GET", "/fapi/v1/positionSide/dual", None, 30),
        ("GET", "/fapi/v1/accountConfig", None, 5),
        ("GET", "/fapi/v1/symbolConfig", None, 5),
        ("GET", "/sapi/v1/account/apiRestrictions", None, 1),
        ("POST", "/fapi/v1/order", "BTCUSDT", 0),
        ("GET", "/fapi/v1/order", "BTCUSDT", 1),
        ("GET", "/fapi/v1/userTrades", "BTCUSDT", 5),
        ("DELETE", "/fapi/v1/order", "BTCUSDT", 1),
        ("DELETE", "/fapi/v1/allOpenOrders", "BTCUSDT", 1),
        ("GET", "/fapi/v1/allOrders", "BTCUSDT", 5),
        ("GET", "/fapi/v1/openOrder", "BTCUSDT", 1),
        ("GET", "/fapi/v1/openOrders", "BTCUSDT", 1),
        ("GET", "/fapi/v1/openOrders", None, 40),
        ("GET", "/fapi/v3/account", None, 5),
        ("GET", "/fapi/v3/balance", None, 5),
        ("POST", "/fapi/v1/listenKey", None, 1),
    ],
)
def test_each_endpoint_costs_its_documented_weight(
    exchange: SimulatedExchange, method: str, path: str, symbol: str | None, weight: int
) -> None:
    response = ask(exchange, method, path, **({} if symbol is None else {"symbol": symbol}))
    assert response.weight == weight
    assert response.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_used_weight_adds_up_and_refusal_says_when_to_come_back(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.weights.limit_per_minute = 9
    assert ask(exchange, "GET", POSITIONS).headers["X-MBX-USED-WEIGHT-1M"] == "5"
    refused = ask(exchange, "GET", POSITIONS)
    assert (refused.status, error_code(refused)) == (429, -1003)
    clock.now_ms += int(refused.headers["Retry-After"]) * 1000
    assert ask(exchange, "GET", POSITIONS).status == 200


def test_a_refused_request_has_no_effect(exchange: SimulatedExchange) -> None:
    exchange.weights.ban(exchange.host_ms(), 60_000)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    refused = ask(exchange, "POST", "/fapi/v1/order", **order)
    assert (refused.status, refused.headers["Retry-After"]) == (418, "60")
    assert exchange.open_positions() == []


def test_the_weight_of_an_endpoint_can_be_changed(exchange: SimulatedExchange) -> None:
    exchange.weights.overrides = {POSITIONS: 10}
    answer = ask(exchange, "GET", POSITIONS, symbol="BTCUSDT")
    assert (answer.weight, answer.headers["X-MBX-USED-WEIGHT-1M"]) == (10, "10")
    exchange.weights.overrides = {"/fapi/v1/time": 3}
    assert ask(exchange, "GET", "/fapi/v1/time").headers["X-MBX-USED-WEIGHT-1M"] == "13"
    assert ask(exchange, "GET", POSITIONS, symbol="BTCUSDT").weight == 5
