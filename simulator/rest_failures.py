"""Answers of a REST interface in trouble: gateways, overload, maintenance, bodies made to hurt a reader.

Source: USDⓈ-M Futures, "General Info" ("HTTP Return Codes": 403, 408, 503) and "Error Codes" (-1006, -1007,
-1008, -1015, -1016, -1109). -1006, -1007, 408 and "Unknown error" mean that nothing is known of the request's
execution, so they strike after it; the other refusals strike before. The codes beside the sentences of 503
are not documented.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from email.utils import formatdate
from functools import lru_cache

import msgspec

from simulator.faults import Faults, PositionRiskV2, RestFault

#: Those that leave the answer's making alone and break its way to the client.
TRANSPORT_FAULTS: tuple[RestFault, ...] = ("hang", "truncated", "not_json", "reset", "late")
#: Those that hide an answer whose request had its effect.
AFTER_EFFECT: tuple[RestFault, ...] = (
    *TRANSPORT_FAULTS,
    "408",
    "-1006",
    "-1007",
    "503_unknown",
    "bad_gateway",
    "deep_json",
    "huge",
    "gzip_bomb",
)
_MB = 1_000_000
_PAST_SEC = 60
_GONE = b"<html><head><title>Not here</title></head><body>Nothing is served here.</body></html>"
_FIREWALL = b"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"
_BAD_GATEWAY = b"<html><head><title>Bad Gateway</title></head><body>No answer from upstream.</body></html>"
_MAINTENANCE = b"<html><head><title>System upgrade</title></head><body>Under maintenance.</body></html>"


class RestResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``padding`` bytes of white space follow the body, made while they are sent.

    The request of an answer ``by_gateway`` never reached the exchange: it says nothing of the weight used.
    """

    status: int
    body: bytes
    weight: int = 0
    headers: dict[str, str] = {}
    padding: int = 0
    by_gateway: bool = False


#: In the place of an answer that its sender never gets.
NO_ANSWER = RestResponse(status=504, body=b"", by_gateway=True)


def failure(fault: RestFault | None, faults: Faults) -> RestResponse | None:
    """Return the answer of that fault; None for 429, 418, 5xx, the transport's faults and no fault."""
    match fault:
        case "-1007":
            return _code(
                faults.gateway_timeout_status,
                -1007,
                "Timeout waiting for response from backend server. "
                "Send status unknown; execution status unknown.",
            )
        case "-1006":
            return _code(
                500,
                -1006,
                "An unexpected response was received from the message bus. Execution status unknown.",
            )
        case "503_unknown":
            return _code(503, -1000, "Unknown error, please check your request or try again later.")
        case "503_unavailable":
            return _code(503, -1001, "Service Unavailable.")
        case "503_internal":
            return _code(503, -1001, "Internal error; unable to process your request. Please try again.")
        case "-1008":
            overloaded = (
                "Server is currently overloaded with other requests. Please try again in a few minutes."
            )
            return _code(503, -1008, overloaded)
        case "-1015":
            return _code(429, -1015, "Too many new orders.")
        case "-1016":
            return _code(faults.maintenance_status, -1016, "This service is no longer available.")
        case "-1109":
            return _code(400, -1109, "Invalid account.")
        case "403":
            return _html(403, _FIREWALL)
        case "bad_gateway":
            return _html(faults.bad_gateway_status, _BAD_GATEWAY)
        case "html_maintenance":
            return _html(faults.maintenance_status, _MAINTENANCE)
        case "408":
            return RestResponse(status=408, body=b"")
        case "239999":
            return RestResponse(
                status=faults.maintenance_status, body=b'{"239999":"System is under maintenance."}'
            )
        case "deep_json":
            return RestResponse(status=faults.odd_body_status, body=b"[" * faults.deep_json_bytes)
        case "huge":
            return RestResponse(status=faults.odd_body_status, body=b"[]", padding=faults.huge_body_mb * _MB)
        case "gzip_bomb":
            body = gzip_bomb(faults.huge_body_mb)
            return RestResponse(
                status=faults.odd_body_status, body=body, headers={"Content-Encoding": "gzip"}
            )
        case _:
            return None


def removed(how: PositionRiskV2, path: str) -> RestResponse:
    """Return the answer to a path that the exchange serves no more."""
    if how == "-5000":
        return _code(404, -5000, f"Path {path}, Method GET is invalid")
    return _html(int(how), _GONE)


def retry_after_header(mode: str, waits_sec: int, now_ms: int) -> dict[str, str]:
    """Return the header for a wait of so many seconds from ``now_ms``; see ``Faults.retry_after_header``."""
    match mode:
        case "missing":
            return {}
        case "real":
            return {"Retry-After": str(waits_sec)}
        case "http_date":
            return {"Retry-After": formatdate(now_ms / 1000 + waits_sec, usegmt=True)}
        case "past_http_date":
            return {"Retry-After": formatdate(now_ms / 1000 - _PAST_SEC, usegmt=True)}
        case text:
            return {"Retry-After": text}


def banned_until(mode: str, until_ms: int, now_ms: int) -> str | None:
    """Return the moment in the sentence of a ban; see ``Faults.banned_until_text``."""
    match mode:
        case "missing":
            return None
        case "real":
            return str(until_ms)
        case "past":
            return str(now_ms - _PAST_SEC * 1000)
        case text:
            return text


@lru_cache(maxsize=4)
def gzip_bomb(megabytes: int) -> bytes:
    """Return a gzip stream of ``[]`` and that many MB of white space, about a thousandth of it long."""
    return b"".join(_compressed(megabytes))


def _compressed(megabytes: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    yield compressor.compress(b"[]")
    for _ in range(megabytes):
        yield compressor.compress(b" " * _MB)
    yield compressor.flush()


def _code(status: int, code: int, message: str) -> RestResponse:
    return RestResponse(status=status, body=msgspec.json.encode({"code": code, "msg": message}))


def _html(status: int, body: bytes) -> RestResponse:
    return RestResponse(status=status, body=body, headers={"Content-Type": "text/html"}, by_gateway=True)
