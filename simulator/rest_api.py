"""Binance's REST interface as a function from request to response: routes, security, weights. No I/O.

Source: USDⓈ-M Futures, "General Info" and each endpoint's page. The HTTP side is ``rest_server``; a
simulation in process calls ``RestApi.answer`` directly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec

from simulator import errors, order_answers
from simulator.account import SimulatedExchange
from simulator.errors import ApiError
from simulator.external_events import set_leverage
from simulator.faults import RestFault
from simulator.market_answers import ExchangeInfo, premium_index, ticker_24hr
from simulator.order_rules import closes_leg
from simulator.parameters import Parameters, boolean, check_signed, integer, parse, required
from simulator.position_rows import MAX_NOTIONAL_VALUE, PositionRows
from simulator.rest_failures import (
    AFTER_EFFECT,
    RestResponse,
    banned_until,
    failure,
    removed,
    retry_after_header,
)
from simulator.signatures import hmac_is_genuine, key_is_genuine

Security = Literal["none", "api_key", "signed"]
_HIGHEST_LEVERAGE = 125
_POSITION_RISK_V2 = "/fapi/v2/positionRisk"
_encode = msgspec.json.encode


class RestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in; ``api_key`` is the ``X-MBX-APIKEY`` header, if any."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    api_key: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    security: Security
    weight: Callable[[Parameters], int]
    answer: Callable[[Parameters], bytes]


class RestApi:
    """The endpoints of one exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        rows, info = PositionRows(exchange), ExchangeInfo(exchange)
        self._endpoints: dict[tuple[str, str], Endpoint] = {
            ("GET", "/fapi/v1/ping"): Endpoint("none", _weighs(1), lambda _: b"{}"),
            ("GET", "/fapi/v1/time"): Endpoint("none", _weighs(1), self._server_time),
            ("GET", "/fapi/v1/exchangeInfo"): Endpoint("none", _weighs(1), lambda _: info.answer()),
            ("GET", "/fapi/v1/premiumIndex"): Endpoint(
                "none", _weighs(1, without_symbol=10), lambda p: premium_index(exchange, _symbol(p))
            ),
            ("GET", "/fapi/v1/ticker/24hr"): Endpoint(
                "none", _weighs(1, without_symbol=40), lambda p: ticker_24hr(exchange, _symbol(p))
            ),
            ("GET", _POSITION_RISK_V2): Endpoint(
                "signed", _weighs(5), lambda p: rows.v2(self._positions_of(p))
            ),
            ("GET", "/fapi/v3/positionRisk"): Endpoint(
                "signed", _weighs(5), lambda p: rows.v3(self._positions_of(p))
            ),
            ("GET", "/fapi/v1/symbolConfig"): Endpoint("signed", _weighs(5), self._symbol_config),
            ("GET", "/fapi/v1/positionSide/dual"): Endpoint("signed", _weighs(30), self._position_mode),
            ("GET", "/fapi/v1/accountConfig"): Endpoint("signed", _weighs(5), self._account_config),
            ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(
                "signed", _weighs(1), self._api_restrictions
            ),
            ("POST", "/fapi/v1/positionSide/dual"): Endpoint("signed", _weighs(1), self._set_position_mode),
            ("POST", "/fapi/v1/leverage"): Endpoint("signed", _weighs(1), self._set_leverage),
            ("POST", "/fapi/v1/order"): Endpoint(
                "signed", _weighs(0), lambda p: order_answers.new_order(exchange, p)
            ),
            ("GET", "/fapi/v1/order"): Endpoint(
                "signed", _weighs(1), lambda p: order_answers.query_order(exchange, p)
            ),
            ("GET", "/fapi/v1/userTrades"): Endpoint(
                "signed", _weighs(5), lambda p: order_answers.user_trades(exchange, p)
            ),
            ("POST", "/fapi/v1/listenKey"): Endpoint("api_key", _weighs(1), self._create_listen_key),
            ("PUT", "/fapi/v1/listenKey"): Endpoint("api_key", _weighs(1), self._extend_listen_key),
            ("DELETE", "/fapi/v1/listenKey"): Endpoint("api_key", _weighs(1), self._close_listen_key),
        }

    def answer(self, request: RestRequest, fault: RestFault | None = None) -> RestResponse:
        """Charge the request's weight and answer it; refusals are answers too, nothing is raised.

        ``fault`` is what the exchange or its gateways answer instead; ``hang``, ``truncated``, ``not_json``
        and ``reset`` are the transport's business. A real ban comes before everything else.
        """
        exchange = self._exchange
        now_ms = exchange.host_ms()
        weight = 0
        failed: RestResponse | None = None
        try:
            endpoint = self._endpoints.get((request.method, request.path))
            if endpoint is None:
                raise errors.unknown_path(request.method, request.path)
            parameters = parse(request.query, request.body)
            weight = exchange.weights.overrides.get(request.path, endpoint.weight(parameters))
            exchange.weights.charge(now_ms, weight)
            failed = self._failed(fault, request.path, parameters)
            if failed is None or (fault in AFTER_EFFECT and not exchange.faults.fail_before_effect):
                self._refuse_on_fault(fault, now_ms)
                self._check_security(endpoint.security, request, parameters)
                body, status = endpoint.answer(parameters), 200
        except ApiError as refusal:
            status = refusal.http_status
            message = self._ban_message(now_ms) if status == 418 else refusal.message
            body = _encode({"code": refusal.code, "msg": message})
            if status in (418, 429):
                failed = None
        headers = {"X-MBX-USED-WEIGHT-1M": str(exchange.weights.used(now_ms))}
        if failed is not None:
            headers = failed.headers if failed.by_gateway else headers | failed.headers
            return msgspec.structs.replace(failed, weight=weight, headers=headers)
        if status in (418, 429):
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
        if path == _POSITION_RISK_V2 and faults.v2_position_risk != "served":
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
            if not (rights.enable_futures if request.method == "POST" else rights.enable_reading):
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

    def _server_time(self, _: Parameters) -> bytes:
        return _encode({"serverTime": self._exchange.exchange_ms()})

    def _positions_of(self, parameters: Parameters) -> str | None:
        if self._exchange.faults.refuse_bulk_positions and _symbol(parameters) is None:
            raise errors.mandatory_parameter("symbol")
        return _symbol(parameters)

    def _api_restrictions(self, _: Parameters) -> bytes:
        rights = msgspec.to_builtins(self._exchange.key_rights)
        if self._exchange.portfolio_margin:
            rights["enablePortfolioMarginTrading"] = True
        return _encode(rights)

    def _symbol_config(self, parameters: Parameters) -> bytes:
        exchange, named = self._exchange, _symbol(parameters)
        names = list(exchange.listing.symbols) if named is None else [exchange.symbol(named).name]
        return _encode(
            [
                {
                    "symbol": name,
                    "marginType": "CROSSED",
                    "isAutoAddMargin": False,
                    "leverage": exchange.leverage(name),
                    "maxNotionalValue": MAX_NOTIONAL_VALUE,
                }
                for name in names
            ]
        )

    def _position_mode(self, _: Parameters) -> bytes:
        return _encode({"dualSidePosition": self._exchange.hedge_mode})

    def _account_config(self, _: Parameters) -> bytes:
        return _encode(
            {
                "feeTier": 0,
                "canTrade": self._exchange.can_trade,
                "canDeposit": True,
                "canWithdraw": True,
                "dualSidePosition": self._exchange.hedge_mode,
                "updateTime": 0,
                "multiAssetsMargin": False,
                "tradeGroupId": -1,
            }
        )

    def _set_position_mode(self, parameters: Parameters) -> bytes:
        required(parameters, "dualSidePosition")
        self._exchange.set_hedge_mode(boolean(parameters, "dualSidePosition"))
        return _encode({"code": 200, "msg": "success"})

    def _set_leverage(self, parameters: Parameters) -> bytes:
        symbol, leverage = required(parameters, "symbol"), integer(parameters, "leverage")
        if not 1 <= leverage <= _HIGHEST_LEVERAGE:
            raise errors.invalid_leverage(leverage)
        set_leverage(self._exchange, symbol, leverage)
        return _encode({"symbol": symbol, "leverage": leverage, "maxNotionalValue": MAX_NOTIONAL_VALUE})

    def _create_listen_key(self, _: Parameters) -> bytes:
        self._exchange.expire_listen_key()
        key = self._exchange.listen_keys.create_or_extend(self._exchange.host_ms())
        return _encode({"listenKey": key})

    def _extend_listen_key(self, parameters: Parameters) -> bytes:
        self._expect_live_listen_key(parameters)
        return _encode({"listenKey": self._exchange.listen_keys.extend(self._exchange.host_ms())})

    def _close_listen_key(self, parameters: Parameters) -> bytes:
        self._expect_live_listen_key(parameters)
        self._exchange.delete_listen_key()
        return b"{}"

    def _expect_live_listen_key(self, parameters: Parameters) -> None:
        """Raise unless the request names no listen key, or the live one."""
        self._exchange.expire_listen_key()
        named = parameters.get("listenKey")
        if named and not self._exchange.listen_keys.is_live(named):
            raise errors.unknown_listen_key()


def _reduces(parameters: Parameters) -> bool:
    closes = closes_leg(parameters.get("positionSide"), parameters.get("side"))
    return closes or parameters.get("reduceOnly") == "true"


def _weighs(weight: int, *, without_symbol: int | None = None) -> Callable[[Parameters], int]:
    if without_symbol is None:
        return lambda _: weight
    return lambda parameters: weight if parameters.get("symbol") else without_symbol


def _symbol(parameters: Parameters) -> str | None:
    return parameters.get("symbol") or None
