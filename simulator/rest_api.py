"""Binance's REST interface as a function from request to response: security, weights, faults. No I/O.

Source: USDⓈ-M Futures, "General Info" and each endpoint's page. The HTTP side is ``rest_server``; a
simulation in process calls ``RestApi.answer`` directly.
"""

from __future__ import annotations

from functools import partial

import msgspec

from simulator import errors
from simulator.endpoints import POSITION_RISK_V2, Security, endpoints_of
from simulator.errors import TOO_MANY_REQUESTS, ApiError
from simulator.exchange import SimulatedExchange
from simulator.faults import RestFault
from simulator.orders import closes_leg
from simulator.parameters import Parameters, check_signed, parse
from simulator.rest_failures import (
    AFTER_EFFECT,
    NO_ANSWER,
    RestResponse,
    banned_until,
    failure,
    removed,
    retry_after_header,
)
from simulator.signatures import hmac_is_genuine, key_is_genuine

_encode = msgspec.json.encode


class RestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in; ``api_key`` is the ``X-MBX-APIKEY`` header, if any."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    api_key: str | None = None


class RestApi:
    """The endpoints of one exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._endpoints = endpoints_of(exchange)

    def answer(self, request: RestRequest, fault: RestFault | None = None) -> RestResponse:
        """Charge the request's weight and answer it; refusals are answers too, nothing is raised.

        ``fault`` is what the exchange or its gateways answer instead; ``hang``, ``truncated``, ``not_json``
        and ``reset`` are the transport's business. A request struck by ``late`` arrives ``late_ms`` later, in
        ``SimulatedExchange.advance``, and is judged then; its sender gets no answer. A real ban comes before
        everything else.
        """
        exchange = self._exchange
        now_ms = exchange.host_ms()
        if fault == "late":
            exchange.due.add(now_ms + round(exchange.faults.late_ms), lambda: self.answer(request))
            return NO_ANSWER
        exchange.advance()
        weight = 0
        failed: RestResponse | None = None
        counts: dict[str, str] = {}
        code = 0
        try:
            endpoint = self._endpoints.get((request.method, request.path))
            if endpoint is None:
                raise errors.unknown_path(request.method, request.path)
            parameters = parse(request.query, request.body)
            weight = exchange.weights.overrides.get(request.path, endpoint.weight_of(parameters))
            exchange.weights.charge(now_ms, weight)
            failed = self._failed(fault, request.path, parameters)
            if failed is None or (fault in AFTER_EFFECT and not exchange.faults.fail_before_effect):
                self._refuse_on_fault(fault, now_ms)
                self._check_security(endpoint.security, request, parameters)
                if endpoint.counts_as_order:
                    exchange.order_counts.charge(now_ms)
                    counts = exchange.order_counts.headers(now_ms)
                body, status = endpoint.answer(exchange, parameters), 200
        except ApiError as refusal:
            status, code = refusal.http_status, refusal.code
            message = self._ban_message(now_ms) if status == 418 else refusal.message
            body = _encode({"code": code, "msg": message})
            if code == TOO_MANY_REQUESTS:
                failed = None
        headers = {"X-MBX-USED-WEIGHT-1M": str(exchange.weights.used(now_ms))} | counts
        if failed is not None:
            headers = failed.headers if failed.by_gateway else headers | failed.headers
            return msgspec.structs.replace(failed, weight=weight, headers=headers)
        if code == TOO_MANY_REQUESTS:
            headers |= self._retry_after(now_ms, by_fault=fault == "429" and status == 429)
        return RestResponse(status=status, body=body, weight=weight, headers=headers)

    def _ban_message(self, now_ms: int) -> str:
        exchange = self._exchange
        until = banned_until(exchange.faults.banned_until_text, exchange.weights.banned_until_ms, now_ms)
        return errors.banned(until).message

    def _retry_after(self, now_ms: int, *, by_fault: bool) -> dict[str, str]:
        faults, weights = self._exchange.faults, self._exchange.weights
        waits_sec = faults.retry_after_sec if by_fault else weights.retry_after_sec(now_ms)
        return retry_after_header(faults.retry_after_header, waits_sec, self._exchange.exchange_ms())

    def _failed(self, fault: RestFault | None, path: str, parameters: Parameters) -> RestResponse | None:
        """Return the answer of an injected fault or of a removed endpoint, if this request gets one."""
        faults = self._exchange.faults
        if path == POSITION_RISK_V2 and faults.v2_position_risk != "served":
            return removed(faults.v2_position_risk, path)
        if fault == "-1008" and _reduces(parameters):
            return None  # overload spares what closes and reduces
        return failure(fault, faults)

    def _refuse_on_fault(self, fault: RestFault | None, now_ms: int) -> None:
        exchange = self._exchange
        if fault == "429":
            exchange.weights.refuse(now_ms)
        if fault == "418":
            exchange.weights.ban(now_ms, exchange.faults.ban_sec * 1000)
            exchange.weights.refuse(now_ms)
        if fault == "5xx":
            raise errors.service_unavailable(exchange.faults.server_error_status)

    def _check_security(self, security: Security, request: RestRequest, parameters: Parameters) -> None:
        exchange = self._exchange
        if security == "none":
            return
        if not request.api_key:
            raise errors.malformed_api_key()
        if request.api_key != exchange.api_key:
            raise errors.unknown_api_key()
        if security == "signed":
            if exchange.portfolio_margin and request.path.startswith("/fapi/"):
                raise errors.unknown_api_key()
            rights = exchange.key_rights
            if not (rights.enable_reading if request.method == "GET" else rights.enable_futures):
                raise errors.unknown_api_key()
            if rights.enable_portfolio_margin_trading and request.path.startswith("/fapi/"):
                raise errors.unknown_api_key()
            check_signed(
                parameters,
                request.query,
                request.body,
                is_genuine=partial(key_is_genuine, exchange.public_key_pem)
                if exchange.public_key_pem
                else partial(hmac_is_genuine, exchange.api_secret),
                exchange_ms=exchange.exchange_ms(),
            )


def _reduces(parameters: Parameters) -> bool:
    closes = closes_leg(parameters.get("positionSide"), parameters.get("side"))
    return closes or parameters.get("reduceOnly") == "true"
