"""An exchange of raw sockets that answers, cuts, resets or hangs as a test says, and counts requests."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from urllib.parse import parse_qsl, urlsplit

import msgspec
import trio

from brain.execution.orders import OrderOutcome, OrderRequest, client_order_id
from brain.identifiers import PlanId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg
from channels import Count, DropOldest, MetricEvent
from exchange.names import NameResolver
from exchange.order_counts import OrderCounts
from exchange.order_requests import OrderRequests
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget
from tests.exchange.parts import AdvancedClock

Answer = Callable[[trio.SocketStream, dict[str, str]], Awaitable[None]]


def answer_bytes(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Return an HTTP answer; `length` promises another number of bytes."""
    promised = len(body) if length is None else length
    lines = (f"HTTP/1.1 {status} Status", f"Content-Length: {promised}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def order_body(asked: dict[str, str], **changes: object) -> bytes:
    """Return the answer to an order as the exchange gives it since 2026-06-30."""
    order: dict[str, object] = {
        "orderId": 8886774,
        "symbol": asked["symbol"],
        "status": "FILLED",
        "clientOrderId": asked["newClientOrderId"],
        "price": "0.00",
        "origQty": asked["quantity"],
        "executedQty": asked["quantity"],
        "cumQty": asked["quantity"],
        "side": asked["side"],
        "positionSide": "BOTH",
        "type": "MARKET",
        "updateTime": 1_700_000_000_123,
    }
    return msgspec.json.encode({**order, **changes})


def answering(status: int, body: bytes | None = None, *headers: str) -> Answer:
    """Answer every order; without `body` by the order that was asked for."""

    async def answer(stream: trio.SocketStream, asked: dict[str, str]) -> None:
        await stream.send_all(answer_bytes(status, order_body(asked) if body is None else body, *headers))

    return answer


async def reset(stream: trio.SocketStream, _asked: dict[str, str]) -> None:
    """Reset the connection without an answer."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def close(stream: trio.SocketStream, _asked: dict[str, str]) -> None:
    """Close the connection without an answer."""
    await stream.aclose()


async def hang(_stream: trio.SocketStream, _asked: dict[str, str]) -> None:
    await trio.sleep_forever()


class RawExchange:
    """Server of one port: `answer` answers orders. Reads get the time, unless they hang."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.orders: list[dict[str, str]] = []
        self.reads_hang = False
        self.connections = 0
        self.open_streams: list[trio.SocketStream] = []
        self.port = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open_streams.append(stream)
        try:
            while (head := await _head(stream)) is not None:
                method, target, _ = head.split(" ", 2)
                url = urlsplit(target)
                if (method, url.path) == ("POST", "/fapi/v1/order"):
                    asked = dict(parse_qsl(url.query))
                    self.orders.append(asked)
                    await self.answer(stream, asked)
                elif self.reads_hang:
                    await trio.sleep_forever()
                else:
                    await stream.send_all(answer_bytes(200, b'{"serverTime": 1700000000000}'))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open_streams.remove(stream)


async def _head(stream: trio.SocketStream) -> str | None:
    """Return the head of the next request, which has no body; None at the end of the connection."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        some = await stream.receive_some(65_536)
        if not some:
            return None
        received += some
    return received.decode()


class Orders:
    """Order requests to an address, with what they share with others."""

    def __init__(self, url: str, *, timeout_sec: float = 2.0, names: NameResolver | None = None) -> None:
        self.clock = AdvancedClock()
        self.server_time = ServerTime()
        self.budget = WeightBudget(self.clock, 1200, exchange_ms=self.server_time.exchange_ms)
        self.counts = OrderCounts(
            self.clock, per_10s=240, per_min=960, exchange_ms=self.server_time.exchange_ms
        )
        self.metrics = DropOldest[MetricEvent]("metrics", 1000)
        self.rest = BinanceRest(
            url,
            "the-api-key",
            "the-api-secret",
            clock=self.clock,
            budget=self.budget,
            server_time=self.server_time,
            metrics=self.metrics,
            rng=Random(1),  # noqa: S311 - jitter
            timeout_sec=timeout_sec,
            names=names,
        )
        self.entry: OrderRequests = self.rest.order_entry(self.counts, timeout_sec=timeout_sec)

    async def answered(self, endpoint: str) -> str:
        """Wait until a request to the endpoint has ended, and return its status as it is counted."""
        while True:
            for event in await self.metrics.receive_all():
                if isinstance(event, Count) and event.labels[:1] == (endpoint,):
                    return event.labels[1]


@asynccontextmanager
async def raw_exchange(answer: Answer) -> AsyncIterator[RawExchange]:
    """Serve until the block ends."""
    exchange = RawExchange(answer)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, exchange.serve, 0)
        exchange.port = listeners[0].socket.getsockname()[1]
        yield exchange
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def orders_to(
    exchange: RawExchange, *, timeout_sec: float = 2.0, names: NameResolver | None = None
) -> AsyncIterator[Orders]:
    """Yield order requests to that exchange."""
    orders = Orders(f"http://127.0.0.1:{exchange.port}", timeout_sec=timeout_sec, names=names)
    async with orders.rest:
        yield orders


def an_order(at: Moment, **changes: object) -> OrderRequest:
    """Return a close of BTCUSDT with the time `at`."""
    request = OrderRequest(
        symbol=Symbol("BTCUSDT"),
        side="SELL",
        quantity=Decimal("0.0100"),
        leg=Leg.BOTH,
        reduce_only=True,
        client_order_id=client_order_id("quantum", PlanId("0123456789abcdef")),
        timestamp_ms=at.wall_ms,
        recv_window_ms=3000,
    )
    return msgspec.structs.replace(request, **changes)


async def place(orders: Orders, **changes: object) -> OrderOutcome:
    """Place an order now."""
    with trio.fail_after(5):
        return await orders.entry.place_order(an_order(orders.clock.now(), **changes))
