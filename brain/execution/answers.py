"""Verdicts on the answers to order requests.

Sources: Binance USDⓈ-M Futures, "General Info" (HTTP return codes) and "Error Codes". The code of an answer
decides before its HTTP status, and the status before its text. `Refused` is only what Binance documents as
not executed; whatever is in no table here is `Unknown`.

Departure: -1000 with a status 4xx is `Unknown`. Binance words it as an unknown error while the request was
processed, which leaves the execution open.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from brain.execution.orders import Accepted, OrderRequest, OrderState, Refused, Unknown
from brain.json_text import read_json

_OK, _TIMEOUT, _BANNED, _TOO_MANY_REQUESTS, _UNAVAILABLE = 200, 408, 418, 429, 503

#: The exchange has not executed the request, whatever status 4xx comes with the code: parameters, symbol,
#: precision, balance, margin, leverage, quantity, mode, price and notional.
_REFUSED_CODES = frozenset(
    {
        -1102,
        -1111,
        -1121,
        -2018,
        -2019,
        -2022,
        -2027,
        -2028,
        -4003,
        -4004,
        -4005,
        -4061,
        -4131,
        -4140,
        -4164,
    }
)
#: Outside the receive window; overloaded, of which Binance says that the request failed.
_OUTSIDE_WINDOW, _OVERLOADED = -1021, -1008
_REFUSED_AT_ANY_STATUS = frozenset({_OUTSIDE_WINDOW, _OVERLOADED})
#: An unexpected response or none from the message bus: execution status unknown.
_OPEN_CODES = frozenset({-1006, -1007})
_UNKNOWN_ERROR = -1000
_TOO_MANY_CODES = frozenset({-1003, -1015})
_DUPLICATE = -4116

#: Texts of a 503 that Binance documents as a failure of the request.
_NOT_AVAILABLE = "Service Unavailable."
_NOT_PROCESSED = "Internal error; unable to process your request"
_LONGEST_MESSAGE = 200


class _ErrorBody(msgspec.Struct, frozen=True):
    code: int
    msg: object = ""


class _Message(msgspec.Struct, frozen=True):
    msg: str


_ERROR = msgspec.json.Decoder(_ErrorBody)
_MESSAGE = msgspec.json.Decoder(_Message)


class _Error(NamedTuple):
    """Error of an answer; `code` is None where the body has none that is a negative number."""

    code: int | None
    message: str


def order_outcome(
    request: OrderRequest, status: int, body: bytes, order: OrderState | None
) -> Accepted | Refused | Unknown:
    """Return what an answer to `request` proves.

    `order` is the order in the body of a 200, None where it has none that can be read.
    """
    if status == _OK:
        return _accepted(request, order)
    error = _read_error(body)
    if error.code is not None and status > _OK:
        by_code = _by_code(error.code, status, error.message)
        if by_code is not None:
            return by_code
    if status in (_TOO_MANY_REQUESTS, _BANNED):
        return _too_many(status, error)
    if status == _UNAVAILABLE and _is_documented_failure(error.message):
        return Refused(f"binance_error:{_UNAVAILABLE}", error.message[:_LONGEST_MESSAGE])
    return Unknown(_words(status, error))


def _accepted(request: OrderRequest, order: OrderState | None) -> Accepted | Unknown:
    if order is None:
        return Unknown("status 200 with an unreadable order")
    if order.client_order_id != request.client_order_id:
        return Unknown(f"status 200 with the order {order.client_order_id[:36]!r}, which is another one")
    if (order.symbol, order.side) != (request.symbol, request.side):
        return Unknown(f"status 200 with an order to {order.side[:10]} {order.symbol[:20]}")
    return Accepted(order)


def _by_code(code: int, status: int, message: str) -> Refused | Unknown | None:
    """Return the verdict by an error code; None where the status decides."""
    if code in _REFUSED_AT_ANY_STATUS:
        return _refused(code, message)
    if code in _TOO_MANY_CODES:
        return _too_many(status, _Error(code, message))
    if code in _OPEN_CODES or code == _DUPLICATE:
        return Unknown(_words(status, _Error(code, message)))
    if not 400 <= status < 500:
        return None
    if code in _REFUSED_CODES:
        return _refused(code, message)
    if code == _UNKNOWN_ERROR or status in (_TIMEOUT, _BANNED, _TOO_MANY_REQUESTS):
        return None
    return _refused(code, message)


def _too_many(status: int, error: _Error) -> Unknown:
    """Return the verdict on a request too many: refused, if a query behind the ban finds no order."""
    code = status if error.code is None else error.code
    return Unknown(_words(status, error), refused_unless_found=True, error=f"binance_error:{code}")


def _refused(code: int, message: str) -> Refused:
    return Refused(f"binance_error:{code}", message[:_LONGEST_MESSAGE])


def _is_documented_failure(message: str) -> bool:
    return message == _NOT_AVAILABLE or message.startswith(_NOT_PROCESSED)


def _words(status: int, error: _Error) -> str:
    code = "" if error.code is None else f", code {error.code}"
    text = f": {error.message[:_LONGEST_MESSAGE]}" if error.message else ""
    return f"status {status}{code}{text}"


def _read_error(body: bytes) -> _Error:
    """Return code and text of a JSON error; of any other body its text alone."""
    try:
        read = read_json(_ERROR, body)
    except msgspec.DecodeError:
        return _Error(None, _text(body))
    message = read.msg.strip() if isinstance(read.msg, str) else ""
    return _Error(read.code if read.code < 0 else None, message)


def _text(body: bytes) -> str:
    try:
        return read_json(_MESSAGE, body).msg.strip()
    except msgspec.DecodeError:
        return body[: 2 * _LONGEST_MESSAGE].decode(errors="replace").strip()
