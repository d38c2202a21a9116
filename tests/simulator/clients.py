"""Clients of the simulator in tests: a clock set by hand and a small signing client."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import trio
from trio_websocket import WebSocketConnection

from simulator import (
    LimitOrder,
    MarketOrder,
    NewOrder,
    RestApi,
    RestRequest,
    RestResponse,
    RunningSimulator,
    SimulatedExchange,
    UserEvent,
)
from simulator.errors import ApiError
from simulator.signatures import signature


class HandClock:
    """A wall clock that stands still unless a test turns it. Epoch milliseconds."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class Recorder:
    """An event sink that remembers."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self.events: list[UserEvent] = []
        exchange.sinks.append(self)

    def deliver(self, event: UserEvent) -> None:
        self.events.append(event)

    def payloads(self, event_type: str | None = None) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(event.frame)
            for event in self.events
            if event_type in (None, event.event_type)
        ]


def market(
    side: str, quantity: str, *, symbol: str = "BTCUSDT", leg: str = "BOTH", reduce_only: bool = False
) -> MarketOrder:
    return msgspec.convert(
        {
            "symbol": symbol,
            "side": side,
            "quantity": Decimal(quantity),
            "position_side": leg,
            "reduce_only": reduce_only,
        },
        MarketOrder,
    )


def limit(
    side: str, quantity: str, price: str, in_force: str = "GTC", *, symbol: str = "BTCUSDT", **more: object
) -> LimitOrder:
    """Return a request for a limit order, by default in BTCUSDT."""
    fields = {
        "symbol": symbol,
        "side": side,
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "time_in_force": in_force,
    }
    return msgspec.convert(fields | more, LimitOrder)


def refusal_code(exchange: SimulatedExchange, order: NewOrder) -> int:
    """Return the code that an order is refused with, which must leave the account as it was."""
    before, orders = exchange.version, len(exchange.orders)
    try:
        exchange.place_order(order)
    except ApiError as refusal:
        assert (exchange.version, len(exchange.orders)) == (before, orders)
        return refusal.code
    raise AssertionError("the order was taken")


def order_events(recorder: Recorder) -> list[tuple[str, str, str, str, str]]:
    """Return execution type, status, last and cumulative quantity, and expiry reason of each order event."""
    events = [event["o"] for event in recorder.payloads("ORDER_TRADE_UPDATE")]
    return [(each["x"], each["X"], each["l"], each["z"], each["er"]) for each in events]


def signed_query(exchange: SimulatedExchange, now_ms: int, **parameters: object) -> str:
    query = urlencode({**parameters, "timestamp": now_ms})
    return f"{query}&signature={signature(exchange.api_secret, query)}"


def ask(exchange: SimulatedExchange, method: str, path: str, **parameters: object) -> RestResponse:
    """Return a correctly signed request, answered in process by a new face of the exchange."""
    return ask_again(RestApi(exchange), exchange, method, path, **parameters)


def ask_again(
    api: RestApi, exchange: SimulatedExchange, method: str, path: str, **parameters: object
) -> RestResponse:
    """Return the same through a face that may have kept something from earlier answers."""
    query = signed_query(exchange, exchange.exchange_ms(), **parameters)
    request = RestRequest(method=method, path=path, query=query, api_key=exchange.api_key)
    return api.answer(request)


def decoded(response: RestResponse) -> Any:
    """Return the body of an answer, which has to be a good one."""
    assert response.status == 200, response.body
    return msgspec.json.decode(response.body)


def error_code(response: RestResponse | httpx.Response) -> int:
    body = response.body if isinstance(response, RestResponse) else response.content
    code: int = msgspec.json.decode(body)["code"]
    return code


class HttpClient:
    """Signed and unsigned requests over a real connection."""

    def __init__(self, simulator: RunningSimulator, http: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.exchange = simulator.exchange
        self.ws_url = simulator.addresses.ws_url
        self.http = http

    async def signed(self, method: str, path: str, **parameters: object) -> httpx.Response:
        query = signed_query(self.exchange, time.time_ns() // 1_000_000, **parameters)
        return await self.keyed(method, f"{path}?{query}")

    async def keyed(self, method: str, url: str) -> httpx.Response:
        return await self.http.request(method, url, headers={"X-MBX-APIKEY": self.exchange.api_key})

    async def listen_key(self) -> str:
        key: str = (await self.keyed("POST", "/fapi/v1/listenKey")).json()["listenKey"]
        return key

    async def stream_url(self) -> str:
        """Return the address of the private stream, with a listen key."""
        return f"{self.ws_url}/private/ws?listenKey={await self.listen_key()}"


async def next_event(websocket: WebSocketConnection, event_type: str | None = None) -> dict[str, Any]:
    """Return the next event, or the next of that type, from a raw private stream."""
    while True:
        event: dict[str, Any] = msgspec.json.decode(await websocket.get_message())
        if event_type in (None, event["e"]):
            return event


async def next_amounts(websocket: WebSocketConnection, count: int = 1) -> list[str]:
    """Return the amounts in the next account updates."""
    events = [await next_event(websocket, "ACCOUNT_UPDATE") for _ in range(count)]
    return [event["a"]["P"][0]["pa"] for event in events]


async def stays_silent(websocket: WebSocketConnection, for_sec: float = 0.05) -> None:
    """Check that no message comes."""
    with trio.move_on_after(for_sec) as waited:
        await websocket.get_message()
    assert waited.cancelled_caught
