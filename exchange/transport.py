"""Single HTTP requests to Binance, and the mapping of answers to errors.

Nothing is retried here. No error raised here contains an address, a signature or a key.
"""

from __future__ import annotations

from urllib.parse import urlencode

import httpcore
import msgspec
import trio

from brain.moment import Moment
from channels import Count, DropOldest, MetricEvent, SetGauge
from clock import Clock
from exchange import wire
from exchange.bounded_body import UnreadableBodyError
from exchange.endpoints import Endpoint
from exchange.errors import (
    ExchangeError,
    ExchangeRejected,
    ExchangeUnavailable,
    RateLimited,
    TemporarilyRefused,
)
from exchange.http_client import HTTP_ERRORS, HttpClient, HttpNetwork, Response
from exchange.names import NameResolver
from exchange.protocol import Priority
from exchange.refusals import LATER_PAUSES, OK, read_ban, read_error, read_later
from exchange.request_gate import RequestGate
from exchange.server_time import ServerTime
from exchange.signing import Signer
from exchange.weight_budget import WeightBudget

#: An idle connection is kept for so long (seconds).
_IDLE_SEC = 5.0


class Answer(msgspec.Struct, frozen=True):
    """Answer with status 200, and the moments of sending and receipt.

    `used_weight`: weight that this address has used in the exchange's minute, by the answer; None: not given.
    """

    body: wire.Body
    sent: Moment
    received: Moment
    used_weight: int | None = None


class Transport:
    """Sender of single requests within the weight budget, signed where needed."""

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
        network: HttpNetwork | None = None,
        names: NameResolver | None = None,
    ) -> None:
        """Take `timeout_sec` for a whole request, from connecting to the last byte of the answer.

        `network`, `names`: see `HttpClient`.
        """
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._server_time = server_time
        self._metrics = metrics
        self._timeout_sec = timeout_sec
        self._gates: dict[str, RequestGate] = {}
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

    async def send(self, endpoint: Endpoint, params: dict[str, str], priority: Priority) -> Answer:
        """Send one request. Raises any ExchangeError but UnreadableEvent."""
        gate = self._gates.get(endpoint.key)
        if gate is not None and (until := gate.closed_until(self._clock.now())) is not None:
            raise TemporarilyRefused(until, gate.why)
        sent = self._budget.reserve(self._budget.weights.of(endpoint), priority)
        if gate is not None:
            gate.sending(sent)
        flight = self._budget.weights.sending()
        status, used = "cancelled", None
        try:
            response = await self._exchange(endpoint, params, sent)
            status, used = str(response.status), response.used_weight
        except ExchangeUnavailable:
            status = "unreachable"
            raise
        finally:
            self._budget.weights.done(endpoint, flight, self._clock.now(), used)
            self._budget.unanswered(sent)
            if gate is not None:
                gate.unanswered(sent)
            self._metrics.send(Count("p33_rest_requests_total", (endpoint.name, status)))
        received = self._clock.now()
        self._follow_weight(response, sent)
        refusal = self._refusal(endpoint, response, sent, received)
        if refusal is None or isinstance(refusal, ExchangeRejected):
            self._budget.answered(sent)
            self._gates.pop(endpoint.key, None)
        if refusal is not None:
            raise refusal
        return Answer(wire.Body(response.body), sent, received, response.used_weight)

    async def _exchange(self, endpoint: Endpoint, params: dict[str, str], sent: Moment) -> Response:
        if endpoint.signed:
            query = self._signer.signed_query(params, self._server_time.exchange_ms(sent))
        else:
            query = urlencode(params)
        url = f"{endpoint.path}?{query}" if query else endpoint.path
        try:
            with trio.fail_after(self._timeout_sec):
                return await self._client.request(endpoint.method, url)
        except (trio.TooSlowError, httpcore.TimeoutException):
            raise ExchangeUnavailable(f"{endpoint.name}: no answer within {self._timeout_sec:g} s") from None
        except UnreadableBodyError as error:
            raise ExchangeUnavailable(f"{endpoint.name}: unreadable answer: {error}") from None
        except HTTP_ERRORS as error:
            # The library's own text may contain the address.
            raise ExchangeUnavailable(f"{endpoint.name}: {type(error).__name__}") from None

    def _follow_weight(self, response: Response, sent: Moment) -> None:
        if response.used_weight is not None:
            self._budget.used_by_address(response.used_weight, sent)
        self._metrics.send(SetGauge("p33_request_weight_used", self._budget.own_used))

    def _refusal(
        self, endpoint: Endpoint, response: Response, sent: Moment, received: Moment
    ) -> ExchangeError | None:
        """Return the error to raise for an answer; None: no refusal."""
        status, body = response.status, response.body
        ban = read_ban(status, response.headers, body, self._server_time.exchange_ms(received))
        if ban is not None:
            return RateLimited(self._budget.refused(ban, sent), f"{ban.why}: no requests for now")
        later = read_later(status, body)
        if later is not None:
            gate = self._gates.setdefault(endpoint.key, RequestGate())
            return TemporarilyRefused(gate.refused(sent, received, later, LATER_PAUSES), later)
        return None if status == OK else read_error(status, body)
