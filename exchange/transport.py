"""One request, one answer: what an HTTP exchange with Binance means.

Nothing is retried here. No error raised here carries an address, a signature or a key.
"""

from __future__ import annotations

import re

import httpx
import msgspec
import trio

from brain.moment import Moment
from channels import Count, DropOldest, MetricEvent, SetGauge
from clock import Clock
from exchange import wire
from exchange.endpoints import Endpoint
from exchange.errors import (
    ClockSkewed,
    ExchangeError,
    ExchangeRejected,
    ExchangeUnavailable,
    ListenKeyUnknown,
    RateLimited,
)
from exchange.protocol import Priority
from exchange.server_time import ServerTime
from exchange.signing import Signer
from exchange.weight_budget import WeightBudget
from exchange.wire_logs import keep_addresses_out_of_logs

_CONNECT_SEC = 3.0
_USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
_TOO_MANY_REQUESTS, _BANNED = 429, 418
_BAN_WITHOUT_RETRY_AFTER_SEC = {_TOO_MANY_REQUESTS: 60.0, _BANNED: 120.0}
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")

_INVALID_TIMESTAMP = -1021
_INVALID_LISTEN_KEY = -1125
#: Codes for "not now": unknown, disconnected, too many requests, unexpected answer, timeout, overloaded,
#: shutting down.
_PASSING_CODES = {-1000, -1001, -1003, -1006, -1007, -1008, -1016}


class Answer(msgspec.Struct, frozen=True):
    """An answer with status 200, and the moments between which the exchange made it."""

    body: wire.Body
    sent: Moment
    received: Moment


class Transport:
    """Sends single requests within the weight budget, signed where needed, and reads what came back."""

    def __init__(
        self,
        base_url: str,
        signer: Signer,
        *,
        clock: Clock,
        budget: WeightBudget,
        server_time: ServerTime,
        metrics: DropOldest[MetricEvent],
        timeout_sec: float,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`timeout_sec` bounds a whole request, from connecting to the last byte of the answer.
        `network` carries requests where that is not to be sockets."""
        keep_addresses_out_of_logs()
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._server_time = server_time
        self._metrics = metrics
        self._timeout_sec = timeout_sec
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers=signer.headers,
            timeout=httpx.Timeout(timeout_sec, connect=min(_CONNECT_SEC, timeout_sec)),
            trust_env=False,
            transport=network,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, endpoint: Endpoint, params: dict[str, str], priority: Priority) -> Answer:
        """Send one request. Raises any ExchangeError but UnreadableEvent."""
        self._budget.reserve(endpoint.weight, priority)
        sent = self._clock.now()
        status = "cancelled"
        try:
            response = await self._exchange(endpoint, params, sent)
            status = str(response.status_code)
        except ExchangeUnavailable:
            status = "unreachable"
            raise
        finally:
            self._metrics.send(Count("p33_rest_requests_total", (endpoint.name, status)))
        received = self._clock.now()
        self._follow_weight(response)
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response, received)
        return Answer(wire.Body(response.content), sent, received)

    async def _exchange(self, endpoint: Endpoint, params: dict[str, str], sent: Moment) -> httpx.Response:
        if endpoint.signed:
            query = self._signer.signed_query(params, self._server_time.exchange_ms(sent))
        else:
            query = str(httpx.QueryParams(params))
        url = f"{endpoint.path}?{query}" if query else endpoint.path
        try:
            with trio.fail_after(self._timeout_sec):
                return await self._client.request(endpoint.method, url)
        except (trio.TooSlowError, httpx.TimeoutException):
            raise ExchangeUnavailable(f"{endpoint.name}: no answer within {self._timeout_sec:g} s") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            # The library's own text may hold the address.
            raise ExchangeUnavailable(f"{endpoint.name}: {type(error).__name__}") from None

    def _follow_weight(self, response: httpx.Response) -> None:
        used = response.headers.get(_USED_WEIGHT, "")
        if used.isdecimal():
            self._budget.used_by_address(int(used))
        self._metrics.send(SetGauge("p33_request_weight_used", self._budget.own_used))

    def _refusal(self, response: httpx.Response, received: Moment) -> ExchangeError:
        status = response.status_code
        if status in _BAN_WITHOUT_RETRY_AFTER_SEC:
            until = self._budget.ban(self._ban_sec(response, received))
            return RateLimited(until, f"the exchange answered {status}: no requests for now")
        try:
            body = wire.Body(response.content).read(wire.ERROR)
        except ExchangeUnavailable:
            return ExchangeUnavailable(f"status {status} without an error code")
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or body.code in _PASSING_CODES:
            return ExchangeUnavailable(f"status {status}, code {body.code}")
        kind = {_INVALID_TIMESTAMP: ClockSkewed, _INVALID_LISTEN_KEY: ListenKeyUnknown}
        return kind.get(body.code, ExchangeRejected)(body.code, body.msg[:200])

    def _ban_sec(self, response: httpx.Response, received: Moment) -> float:
        """Seconds from now to the end of the ban: `Retry-After`, or what the message says, or a guess."""
        retry_after = response.headers.get("Retry-After", "")
        if retry_after.isdecimal():
            return float(retry_after)
        if until := _BANNED_UNTIL.search(response.text):
            return (int(until[1]) - self._server_time.exchange_ms(received)) / 1000
        return _BAN_WITHOUT_RETRY_AFTER_SEC[response.status_code]
