"""Request parameters: read, checked, signed.

Source: USDⓈ-M Futures, "General Info", "Endpoint Security Type": HMAC-SHA256 over query string and body as
sent, without the signature itself; ``timestamp`` within ``recvWindow`` (5000 ms unless given).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from urllib.parse import parse_qsl

from simulator import errors

Parameters = Mapping[str, str]

_DEFAULT_RECV_WINDOW_MS = 5000
_LONGEST_RECV_WINDOW_MS = 60_000
_ALLOWED_LEAD_MS = 1000


def parse(query: str, body: str) -> dict[str, str]:
    """All parameters; those of the query string win over those of the body."""
    return {**dict(parse_qsl(body, keep_blank_values=True)), **dict(parse_qsl(query, keep_blank_values=True))}


def unsigned(text: str) -> str:
    """A query string or form body without its ``signature``."""
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


def signature(secret: str, query: str, body: str = "") -> str:
    """The signature that belongs to a request: lowercase hex."""
    payload = unsigned(query) + unsigned(body)
    return hmac.new(secret.encode(), payload.encode(), sha256).hexdigest()


def check_signed(parameters: Parameters, query: str, body: str, *, secret: str, exchange_ms: int) -> None:
    """``ApiError`` -1102, -1021 or -1022 unless the request is signed, in time and genuine."""
    timestamp_ms = integer(parameters, "timestamp")
    given = required(parameters, "signature")
    window_ms = _DEFAULT_RECV_WINDOW_MS
    if parameters.get("recvWindow"):
        window_ms = min(integer(parameters, "recvWindow"), _LONGEST_RECV_WINDOW_MS)
    if timestamp_ms >= exchange_ms + _ALLOWED_LEAD_MS:
        raise errors.timestamp_ahead()
    if exchange_ms - timestamp_ms > window_ms:
        raise errors.timestamp_outside_window()
    if not hmac.compare_digest(given.lower().encode(), signature(secret, query, body).encode()):
        raise errors.bad_signature()


def required(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if not value:
        raise errors.mandatory_parameter(name)
    return value


def integer(parameters: Parameters, name: str) -> int:
    text = required(parameters, name)
    if not (text.isascii() and text.isdigit()):
        raise errors.mandatory_parameter(name)
    return int(text)


def decimal(parameters: Parameters, name: str) -> Decimal:
    try:
        value = Decimal(required(parameters, name))
    except InvalidOperation:
        raise errors.mandatory_parameter(name) from None
    if not value.is_finite():
        raise errors.mandatory_parameter(name)
    return value


def boolean(parameters: Parameters, name: str) -> bool:
    """False when not given."""
    text = parameters.get(name, "false").lower()
    if text not in ("true", "false"):
        raise errors.mandatory_parameter(name)
    return text == "true"
