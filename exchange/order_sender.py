"""Sender of order requests: one HTTP request for each, never a second one.

httpcore sends no request again: its `retries` (0 here) are of connecting only, and its pool changes the
connection of a request only before its first byte (`ConnectionNotAvailable`, raised by a connection that is
busy or closed). Redirects are not followed. An idle connection that the exchange has closed is found by the
pool before it is used; one that closes while the request is on its way fails as a read, and the outcome is
unknown.

The extension `trace` reports each step of httpcore. The step before the first byte is where the deadline and
the ban are checked last; what fails while connecting has sent nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import httpcore
import trio

from brain.execution.answers import order_outcome
from brain.execution.orders import NotSent, OrderOutcome, OrderRequest, Refused, Unknown
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.position import Leg
from channels import Count, DropOldest, MetricEvent
from clock import Clock
from exchange.bounded_body import UnreadableBodyError
from exchange.endpoints import NEW_ORDER, PING, Endpoint
from exchange.errors import BudgetExhausted, RateLimited
from exchange.http_client import HTTP_ERRORS, HttpClient, HttpNetwork, Response
from exchange.names import NameResolver
from exchange.order_counts import OrderCounts
from exchange.orders_wire import read_order
from exchange.protocol import Priority
from exchange.refusals import OK, error_code, read_ban
from exchange.server_time import ServerTime
from exchange.signing import Signer
from exchange.weight_budget import WeightBudget

#: An idle connection is kept for so long (seconds), which is less than the 60 after which gateways close one.
_IDLE_SEC = 30.0
_TOO_MANY_ORDERS = -1015
_NOT_CONNECTED = (httpcore.ConnectError, httpcore.ConnectTimeout)


class OrderSender:
    """Order requests over connections of their own, which reads do not use."""

    def __init__(
        self,
        base_url: str,
        signer: Signer,
        *,
        clock: Clock,
        budget: WeightBudget,
        counts: OrderCounts,
        server_time: ServerTime,
        metrics: DropOldest[MetricEvent],
        timeout_sec: float,
        network: HttpNetwork | None = None,
        names: NameResolver | None = None,
    ) -> None:
        """Take what `Transport` takes, and the counts that answers show."""
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._counts = counts
        self._server_time = server_time
        self._metrics = metrics
        self._timeout_sec = timeout_sec
        self._client = HttpClient(
            base_url,
            signer.headers,
            timeout_sec=timeout_sec,
            idle_sec=_IDLE_SEC,
            network=network,
            names=names,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, request: OrderRequest) -> OrderOutcome:
        """Send the order, once."""
        if (why := self._why_not(request)) is not None:
            return NotSent(why)
        answer = await self._request(NEW_ORDER, Priority.VITAL, partial(self._exchange, request))
        if not isinstance(answer, Response):
            return answer
        order = read_order(answer.body) if answer.status == OK else None
        return order_outcome(request, answer.status, answer.body, order)

    async def ping(self) -> None:
        """Send the smallest request there is, which opens a connection or keeps one open. Raises nothing."""
        await self._request(PING, Priority.PERIODIC, self._exchange_ping)

    def _why_not(self, request: OrderRequest) -> str | None:
        """Return why the request must not leave now."""
        if self._budget.banned_until is not None:
            return "ban"
        exchange_ms = self._server_time.exchange_ms(self._clock.now())
        return "late" if exchange_ms > request.timestamp_ms + request.recv_window_ms else None

    async def _exchange(self, request: OrderRequest) -> Response | NotSent | Unknown:
        query = self._signer.signed_query(_parameters(request), request.timestamp_ms, request.recv_window_ms)
        departure = _Departure(lambda: self._why_not(request))
        try:
            with trio.fail_after(self._timeout_sec):
                return await self._client.request(
                    NEW_ORDER.method, f"{NEW_ORDER.path}?{query}", departure.trace
                )
        except _HeldBackError as error:
            return NotSent(str(error))
        except _NOT_CONNECTED as error:
            return Unknown(type(error).__name__) if departure.begun else NotSent("connect")
        except trio.TooSlowError:
            why = f"no answer within {self._timeout_sec:g} s"
            return NotSent("connect") if departure.is_connecting else Unknown(why)
        except UnreadableBodyError as error:
            return Unknown(f"unreadable answer: {error}")
        except HTTP_ERRORS as error:
            # The library's own text may contain the address.
            return Unknown(type(error).__name__)

    async def _exchange_ping(self) -> Response | Unknown:
        try:
            with trio.fail_after(self._timeout_sec):
                return await self._client.request(PING.method, PING.path)
        except (trio.TooSlowError, UnreadableBodyError, *HTTP_ERRORS) as error:
            return Unknown(type(error).__name__)

    async def _request(
        self,
        endpoint: Endpoint,
        priority: Priority,
        exchange: Callable[[], Awaitable[Response | NotSent | Unknown]],
    ) -> Response | NotSent | Unknown:
        """Reserve the weight, call `exchange`, and follow what its answer shows of limits and bans."""
        try:
            sent = self._budget.reserve(self._budget.weights.of(endpoint), priority)
        except RateLimited:
            return NotSent("ban")
        except BudgetExhausted:
            return NotSent("budget")
        flight = self._budget.weights.sending()
        status, used = "cancelled", None
        try:
            answer = await exchange()
            status = "not_sent" if isinstance(answer, NotSent) else "unreachable"
            if isinstance(answer, Response):
                status, used = str(answer.status), answer.used_weight
        finally:
            self._budget.weights.done(endpoint, flight, self._clock.now(), used)
            self._budget.unanswered(sent)
            self._metrics.send(Count("p33_rest_requests_total", (endpoint.name, status)))
        if isinstance(answer, Response):
            self._follow(answer, sent)
        return answer

    def _follow(self, answer: Response, sent: Moment) -> None:
        if answer.used_weight is not None:
            self._budget.used_by_address(answer.used_weight, sent)
        self._counts.answered(sent, answer.headers)
        if answer.status != OK and error_code(answer.body) == _TOO_MANY_ORDERS:
            self._counts.refused()
        exchange_ms = self._server_time.exchange_ms(self._clock.now())
        ban = read_ban(answer.status, answer.headers, answer.body, exchange_ms)
        if ban is None:
            self._budget.answered(sent)
        else:
            self._budget.refused(ban, sent)


class _HeldBackError(Exception):
    """Request was stopped before its first byte."""


class _Departure:
    """Steps of one request, as httpcore reports them."""

    def __init__(self, why_not: Callable[[], str | None]) -> None:
        """Call `why_not` before the first byte; its text stops the request."""
        self._why_not = why_not
        self._connecting = False
        self._held_back = False
        self.begun = False

    @property
    def is_connecting(self) -> bool:
        """Return True if a connection was being made, and no byte of the request was sent."""
        return self._connecting and not self.begun

    async def trace(self, event: str, _info: Mapping[str, object]) -> None:
        """Take the report of a step. Raises _HeldBackError before the first byte."""
        if event.startswith("connection."):
            self._connecting = True
        elif not self.begun and not self._held_back:
            why = self._why_not()
            if why is not None:
                self._held_back = True
                raise _HeldBackError(why)
            self.begun = True


def _parameters(request: OrderRequest) -> dict[str, str]:
    parameters = {
        "symbol": request.symbol,
        "side": request.side,
        "type": "MARKET",
        "quantity": plain(request.quantity),
        "newClientOrderId": request.client_order_id,
        "newOrderRespType": "RESULT",
    }
    if request.leg is not Leg.BOTH:
        # In hedge mode the exchange refuses `reduceOnly`.
        parameters["positionSide"] = request.leg.value
    elif request.reduce_only:
        parameters["reduceOnly"] = "true"
    return parameters


def is_outside_window(outcome: OrderOutcome) -> bool:
    """Return True if the exchange refused the request's time (-1021)."""
    return isinstance(outcome, Refused) and outcome.error == "binance_error:-1021"
