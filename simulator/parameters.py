"""Request parameters: read, checked, signed.

Source: USDⓈ-M Futures, "General Info", "Endpoint Security Type": the signature is over query string and body
as sent, without the signature itself (see ``signatures``); ``timestamp`` within ``recvWindow`` (5000 ms
unless given).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

from simulator import errors

Parameters = Mapping[str, str]
#: Says whether a signature belongs to a payload.
Genuine = Callable[[str, str], bool]

_DEFAULT_RECV_WINDOW_MS = 5000
_LONGEST_RECV_WINDOW_MS = 60_000
_ALLOWED_LEAD_MS = 1000
_SIGNATURE = "signature="


def parse(query: str, body: str) -> dict[str, str]:
    """Return all parameters; those of the query string win over those of the body."""
    return {**dict(parse_qsl(body, keep_blank_values=True)), **dict(parse_qsl(query, keep_blank_values=True))}


def unsigned(text: str) -> str:
    """Return a query string or form body without its ``signature``."""
    return "&".join(part for part in text.split("&") if not part.startswith(_SIGNATURE))


def check_signed(
    parameters: Parameters, query: str, body: str, *, is_genuine: Genuine, exchange_ms: int
) -> None:
    """Raise ``ApiError`` -1102, -1021 or -1022 unless the request is signed, in time and genuine.

    The signature must be the last parameter of the text that it is in.
    """
    timestamp_ms = integer(parameters, "timestamp")
    given = required(parameters, "signature")
    window_ms = _DEFAULT_RECV_WINDOW_MS
    if parameters.get("recvWindow"):
        window_ms = min(integer(parameters, "recvWindow"), _LONGEST_RECV_WINDOW_MS)
    if timestamp_ms >= exchange_ms + _ALLOWED_LEAD_MS:
        raise errors.timestamp_ahead()
    if exchange_ms - timestamp_ms > window_ms:
        raise errors.timestamp_outside_window()
    is_last = (body or query).rpartition("&")[2].startswith(_SIGNATURE)
    if not is_last or not is_genuine(given, unsigned(query) + unsigned(body)):
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
    """Read a boolean; false when not given."""
    text = parameters.get(name, "false").lower()
    if text not in ("true", "false"):
        raise errors.mandatory_parameter(name)
    return text == "true"
