"""The demo's client of the simulated exchange: signed orders as an executor sends them, and its controls."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import httpx
import msgspec

from exchange.signing import Signer
from exchange.symbols_wire import ExchangeInfoBody, symbol_rules

_MINUTE_MS = 60_000
_BAD_REQUEST = 400
_TOO_LATE = -1021

T = TypeVar("T")


class OrderRefusedError(Exception):
    """The exchange refused an order; with its code and sentence."""


class OrderTooLateError(OrderRefusedError):
    """The order arrived outside the time that its timestamp allows."""


class TradedSymbol(msgspec.Struct, frozen=True):
    """A symbol's market order rules, in contracts, and its price at the start."""

    name: str
    step: Decimal
    smallest: Decimal
    price: Decimal


class OrderAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The exchange's answer to an order that it executed."""

    order_id: int
    status: str
    side: str
    executed_qty: Decimal


class RequestCost(msgspec.Struct, frozen=True):
    """One request in the exchange's log: time of arrival (epoch ms), path, weight."""

    wall_time_ms: int
    path: str
    weight: int


class ExecutedOrder(msgspec.Struct, frozen=True):
    """An order at the exchange, with the quantity that was filled (contracts)."""

    client_order_id: str
    symbol: str
    executed: Decimal


class _Refusal(msgspec.Struct):
    code: int


class _Premium(msgspec.Struct, rename="camel"):
    symbol: str
    mark_price: Decimal


class _Position(msgspec.Struct):
    symbol: str
    amount: Decimal


class RequestLog(msgspec.Struct):
    """Requests of all clients, oldest first; `total` counts those too that are not among them."""

    total: int
    records: list[RequestCost]


class ExchangeClient:
    """Client of one simulated exchange. `used_weight` is this minute's, as it was read last."""

    def __init__(self, http: httpx.AsyncClient, rest_url: str, api_key: str, api_secret: str) -> None:
        self._http = http
        self._url = rest_url
        self._signer = Signer(api_key, api_secret)
        self.used_weight = 0

    async def symbols(self) -> list[TradedSymbol]:
        """Return every symbol, in the exchange's order."""
        info = await self._get("/fapi/v1/exchangeInfo", ExchangeInfoBody)
        prices = await self._get("/fapi/v1/premiumIndex", list[_Premium])
        price_of = {row.symbol: row.mark_price for row in prices}
        return [
            TradedSymbol(name, rules.market_step, rules.market_min, price_of[name])
            for name, rules in symbol_rules(info.symbols, {}).items()
        ]

    async def market_order(
        self, symbol: str, side: str, quantity: Decimal, *, reduce_only: bool, client_order_id: str
    ) -> OrderAnswer:
        """Send a market order and wait for its execution. Raises OrderRefusedError."""
        params = {
            "symbol": symbol,
            "side": side,
            "type": "MARKET",
            "quantity": f"{quantity:f}",
            "reduceOnly": str(reduce_only).lower(),
            "newClientOrderId": client_order_id,
            "newOrderRespType": "RESULT",
        }
        query = self._signer.signed_query(params, time.time_ns() // 1_000_000)
        answer = await self._http.post(f"{self._url}/fapi/v1/order?{query}", headers=self._signer.headers)
        if answer.status_code >= _BAD_REQUEST:
            code = msgspec.json.decode(answer.content, type=_Refusal).code
            refused = OrderTooLateError if code == _TOO_LATE else OrderRefusedError
            raise refused(f"{side} {quantity:f} {symbol}: {answer.text}")
        return msgspec.json.decode(answer.content, type=OrderAnswer, strict=False)

    async def move_position(self, symbol: str, delta: Decimal, *, cause: str = "trade") -> None:
        """Trade `delta` contracts as a person at the exchange's own screen does, or for another cause."""
        body = {"symbol": symbol, "delta": f"{delta:f}", "cause": cause}
        await self._control("/simulator/position", body)

    async def announce_end(self, symbol: str, end_ms: int) -> None:
        """Announce the end of a symbol's trading (epoch ms)."""
        await self._control("/simulator/end", {"symbol": symbol, "end_ms": end_ms})

    async def settle(self, symbol: str) -> None:
        """End a symbol's trading: the exchange closes its position."""
        await self._control("/simulator/settle", {"symbol": symbol})

    async def executed_orders(self) -> list[ExecutedOrder]:
        """Return all orders that were filled, of all clients."""
        orders = await self._get("/simulator/orders", list[ExecutedOrder])
        return [order for order in orders if order.executed]

    async def positions(self) -> dict[str, Decimal]:
        """Return the signed positions that are not flat, as they are now."""
        rows = await self._get("/simulator/positions", list[_Position])
        return {row.symbol: row.amount for row in rows}

    async def request_log(self, since_ms: int = 0) -> RequestLog:
        """Return all clients' requests since then (epoch ms); the log keeps the last 20 000."""
        return await self._get(f"/simulator/requests?since_ms={since_ms}", RequestLog)

    async def read_used_weight(self) -> None:
        """Add up the weight of all clients' requests of this minute."""
        minute_ms = time.time_ns() // 1_000_000 // _MINUTE_MS * _MINUTE_MS
        log = await self.request_log(minute_ms)
        self.used_weight = sum(each.weight for each in log.records)

    async def _control(self, path: str, body: Mapping[str, str | int]) -> None:
        answer = await self._http.post(self._url + path, json=body)
        answer.raise_for_status()

    async def _get(self, path: str, expected: type[T]) -> T:
        answer = await self._http.get(self._url + path)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=expected, strict=False)
