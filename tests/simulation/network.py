"""The network between one process and the exchange: requests, streams, and their faults.

Production code speaks over it unchanged: `BinanceRest` over a network that asks `RestApi`, the
streams' connections over a WebSocket of memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

import httpcore
import trio
from trio_websocket import ConnectionClosed

from clock import Clock
from exchange.endpoints import NEW_ORDER, SERVER_TIME
from exchange.errors import ExchangeUnavailable
from exchange.market_stream import MarketStreamConnection
from exchange.user_stream_connection import UserStreamConnection
from exchange.websocket import OpenWebSocket
from simulator import RestApi, RestRequest
from simulator.faults import FaultDice, RestFault
from simulator.market_answers import mark_price_frames
from simulator.rest_failures import RestResponse
from tests.simulation.clocks import true_ms
from tests.simulation.field_watch import Requests
from tests.simulation.order_judge import OrderJudge
from tests.simulation.order_way import KillPoints, OrderFate, OrderWay
from tests.simulation.reads import Read
from tests.simulation.streams import PrivateStreams, StreamRefusedError, WebSocket
from tests.simulation.tripwire import Tripwire
from tests.simulation.venue import Venue

_NOT_JSON = b"<html><body>Bad Gateway</body></html>"
_OK = 200
_POSITIONS = "/positionRisk"
_ACCOUNT = "/account"
_LISTS = ("/userTrades", "/allOrders", "/forceOrders")
_TRANSPORT_FAULTS = ("hang", "truncated", "not_json", "reset")


class Reach:
    """Switch of a process's connectivity. While it is cut off, its messages and the answers wait."""

    def __init__(self) -> None:
        self._back = trio.Event()
        self._back.set()
        self.cut_off = False
        #: Begin and end of the latest times in which it was cut off (trio's clock).
        self._times_sec: deque[tuple[float, float]] = deque(maxlen=8)
        self._cut_sec = 0.0

    def cut(self) -> None:
        """From now on nothing passes. Cut twice, it is restored once."""
        if not self.cut_off:
            self.cut_off = True
            self._cut_sec = trio.current_time()
            self._back = trio.Event()

    def restore(self) -> None:
        """Let the waiting messages go on."""
        if self.cut_off:
            self._times_sec.append((self._cut_sec, trio.current_time()))
        self.cut_off = False
        self._back.set()

    def cut_within(self, sec: float) -> float:
        """Return for how many of the last seconds it was cut off."""
        now_sec = trio.current_time()
        times_sec = [*self._times_sec, *([(self._cut_sec, now_sec)] if self.cut_off else [])]
        return sum(max(end - max(begin, now_sec - sec), 0.0) for begin, end in times_sec)

    async def __call__(self) -> None:
        if self.cut_off:
            await self._back.wait()


class OrderSide(NamedTuple):
    """What a process's order requests meet. `sent` is called with the parameters of each that leaves."""

    name: str
    way: OrderWay
    points: KillPoints
    judge: OrderJudge
    sent: Callable[[Mapping[str, str]], None]


class RestNetwork:
    """Carries one process's requests to the exchange and the answers back."""

    def __init__(
        self,
        venue: Venue,
        reach: Reach,
        tripwire: Tripwire,
        rng: Random,
        on_server_time: Callable[[float], None],
        requests: Requests,
        orders: OrderSide,
    ) -> None:
        """`on_server_time` gets the seconds that a request for the exchange's clock took."""
        self._orders = orders
        self._on_server_time = on_server_time
        self._requests = requests
        self._venue = venue
        self._tripwire = tripwire
        self._api = RestApi(venue)
        self._reach = reach
        self._dice = FaultDice(venue.faults, rng)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Wait, then fail by an injected fault, else answer."""
        asked = _as_simulated(request)
        with self._requests.under_way(asked.path, of_one_symbol=_is_of_one_symbol(asked)):
            if (asked.method, asked.path) == (NEW_ORDER.method, NEW_ORDER.path):
                return await self._place_order(request, asked)
            return await self._handle(asked)

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    async def _place_order(self, request: httpcore.Request, asked: RestRequest) -> httpcore.Response:
        """Carry an order's request as far as its fate goes, and the answer back."""
        orders = self._orders
        await orders.points.passing("before the socket", orders.name)
        faults, fate = self._venue.faults, orders.way.fate()
        if fate.kind is None:
            fate = OrderFate(self._dice.rest_fault(asked.method, asked.path), faults.fail_before_effect)
        await _report(request, "connection.connect_tcp.started")
        if fate.kind == "unconnected":
            raise httpcore.ConnectError("no route to the host")
        if fate.kind == "slowly":
            await trio.sleep(fate.late_ms / 1000)
        await _report(request, "http11.send_request_headers.started")
        orders.sent(dict(parse_qsl(asked.query)))
        before_ms, after_ms = self._dice.rest_latency_ms()
        await self._reach()
        self._tripwire.cross()
        await trio.sleep(before_ms / 1000)
        if fate.kind == "lost":
            await trio.sleep_forever()
        if fate.kind in _TRANSPORT_FAULTS and fate.before:
            raise httpcore.ReadError("the connection was reset")
        answer = orders.way.answer(asked, fate)
        await orders.points.passing("at the exchange", orders.name)
        await trio.sleep(after_ms / 1000)
        await self._reach()
        self._tripwire.cross()
        self._requests.answered(answer.status)
        await orders.points.passing("after the answer", orders.name)
        return await _arrived(answer, fate.kind)

    def _fault_of_lists(self) -> RestFault | None:
        venue = self._venue
        return venue.lists_faults_next.pop(0) if venue.lists_faults_next else venue.lists_fault

    async def _handle(self, asked: RestRequest) -> httpcore.Response:
        began_sec, sent_ms = trio.current_time(), true_ms()
        path = asked.path
        fault = self._dice.rest_fault(asked.method, path)
        if path.endswith(_ACCOUNT) and self._venue.account_fault is not None:
            fault = self._venue.account_fault
        if path.endswith(_LISTS):
            fault = self._fault_of_lists() or fault
        before_ms, after_ms = self._dice.rest_latency_ms()
        await self._reach()
        self._tripwire.cross()
        await trio.sleep(before_ms / 1000)
        if fault in _TRANSPORT_FAULTS and self._venue.faults.fail_before_effect:
            raise httpcore.ReadError("the connection was reset")
        answer = self._api.answer(asked, fault)
        answered_ms = true_ms()
        await trio.sleep(after_ms / 1000)
        await self._reach()
        self._tripwire.cross()
        self._requests.answered(answer.status)
        arrived = await _arrived(answer, fault)
        if path == SERVER_TIME.path:
            self._on_server_time(trio.current_time() - began_sec)
        if fault is None and answer.status == _OK and path.endswith(_POSITIONS):
            symbol = dict(parse_qsl(asked.query)).get("symbol")
            self._requests.reads.arrived(Read(symbol, sent_ms, answered_ms, true_ms()))
        return arrived


async def _report(request: httpcore.Request, step: str) -> None:
    """Report a step as httpcore does, by the request's extension `trace`; it may raise."""
    trace = request.extensions.get("trace")
    if trace is not None:
        await trace(step, {})


def _as_simulated(request: httpcore.Request) -> RestRequest:
    path, _, query = request.url.target.decode().partition("?")
    keys = (value.decode() for name, value in request.headers if name.lower() == b"x-mbx-apikey")
    return RestRequest(method=request.method.decode(), path=path, query=query, api_key=next(keys, None))


async def _arrived(answer: RestResponse, fault: str | None) -> httpcore.Response:
    """Return an answer as a fault of the transport leaves it; raises httpcore's errors, or never returns."""
    if fault in ("hang", "late"):
        await trio.sleep_forever()
    if fault in ("reset", "truncated"):
        raise httpcore.RemoteProtocolError("the answer broke off")
    body = _NOT_JSON if fault == "not_json" else answer.body
    return httpcore.Response(answer.status, headers=list(answer.headers.items()), content=body)


def _is_of_one_symbol(request: RestRequest) -> bool:
    return request.path.endswith(_POSITIONS) and "symbol=" in request.query


class _Opened:
    """A WebSocket of memory in the place of `OpenWebSocket`."""

    def __init__(self, name: str, websocket: object, hang_up: Callable[[], None]) -> None:
        self.websocket = websocket
        self._name = name
        self._hang_up = hang_up

    async def aclose(self) -> None:
        self._hang_up()
        await trio.lowlevel.checkpoint()

    def closed(self, closed: ConnectionClosed) -> ExchangeUnavailable:
        return ExchangeUnavailable(f"{self._name}: closed")


class PrivateConnector:
    """The `StreamConnector` of one process."""

    def __init__(
        self,
        streams: PrivateStreams,
        reach: Reach,
        tripwire: Tripwire,
        clock: Clock,
        on_connect: Callable[[], None],
    ) -> None:
        """`on_connect` is called for every attempt."""
        self._on_connect = on_connect
        self._streams = streams
        self._reach = reach
        self._tripwire = tripwire
        self._clock = clock

    async def connect(self, nursery: trio.Nursery, listen_key: str) -> UserStreamConnection:
        """Return a connection that stands; see `exchange.protocol.StreamConnector`."""
        self._on_connect()
        try:
            with trio.fail_after(5):
                await self._reach()
                self._tripwire.cross()
                websocket: WebSocket = await nursery.start(
                    self._streams.serve, listen_key, self._reach, self._tripwire
                )
        except trio.TooSlowError:
            raise ExchangeUnavailable("private stream: no connection within 5 s") from None
        except StreamRefusedError:
            raise ExchangeUnavailable("private stream: refused") from None
        opened = _Opened("private stream", websocket, websocket.hang_up)
        return UserStreamConnection(cast("OpenWebSocket", opened), self._clock)


class _MarkFrames:
    """Frames of a WebSocket of mark prices at long intervals: nothing here depends on them."""

    def __init__(self, venue: Venue, interval_sec: float) -> None:
        self._venue = venue
        self._interval_sec = interval_sec

    async def get_message(self) -> bytes:
        await trio.sleep(self._interval_sec)
        return mark_price_frames(self._venue)[0]


class MarkConnector:
    """The `MarkPriceConnector` of one process."""

    def __init__(
        self, venue: Venue, interval_sec: float, clock: Clock, on_connect: Callable[[], None]
    ) -> None:
        """`on_connect` is called for every connection."""
        self._venue = venue
        self._interval_sec = interval_sec
        self._clock = clock
        self._on_connect = on_connect

    async def connect(self, nursery: trio.Nursery) -> MarketStreamConnection:
        """Return a connection that stands."""
        self._on_connect()
        await trio.lowlevel.checkpoint()
        frames = _MarkFrames(self._venue, self._interval_sec)
        opened = _Opened("market stream", frames, lambda: None)
        return MarketStreamConnection(cast("OpenWebSocket", opened), self._clock)
