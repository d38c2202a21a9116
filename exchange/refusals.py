"""Parser of refusals: a ban, maintenance, or an error of the request.

Sources: Binance USDⓈ-M Futures, "General Info" (HTTP return codes, IP limits) and "Error Codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from brain.json_text import read_json
from clocks.growing_delay import GrowingDelay
from exchange.errors import (
    ClockSkewed,
    EndpointGone,
    ExchangeError,
    ExchangeRejected,
    ExchangeUnavailable,
    ListenKeyUnknown,
)
from exchange.wire import ERROR, ErrorBody

OK = 200
_SERVER_ERROR, _FORBIDDEN, _NOT_FOUND, _GONE, _BANNED, _TOO_MANY_REQUESTS = 500, 403, 404, 410, 418, 429

#: Longest ban that Binance documents (seconds); longer ones are ignored.
LONGEST_BAN_SEC = 3 * 86_400.0
#: The shortest pauses after refusals in a row. After a 429: 5, 15, 45 s, so at most three in 60 s.
_PAUSES = {
    _TOO_MANY_REQUESTS: GrowingDelay(initial_sec=5.0, maximum_sec=120.0, factor=3.0),
    _BANNED: GrowingDelay(initial_sec=60.0, maximum_sec=3600.0),
    _FORBIDDEN: GrowingDelay(initial_sec=300.0, maximum_sec=3600.0),
}
LATER_PAUSES = GrowingDelay(initial_sec=1.0, maximum_sec=60.0)

_WORDS = {
    _TOO_MANY_REQUESTS: "the exchange answered 429 (too many requests from this address)",
    _BANNED: "the exchange answered 418 (this address is banned for too many requests)",
    _FORBIDDEN: "the exchange's web firewall answered 403 (this address is blocked for some minutes)",
}
_BANNED_UNTIL = re.compile(rb"banned until (\d{13})(?!\d)")

_INVALID_TIMESTAMP, _INVALID_LISTEN_KEY, _TOO_MANY, _NO_SUCH_PATH = -1021, -1125, -1003, -5000
#: Temporary errors: unknown, disconnected, execution unknown, timeout.
_PASSING_CODES = {-1000, -1001, -1006, -1007}
_LATER_CODES = {-1008: "overloaded", -1016: "in maintenance", -1109: "in maintenance"}
_MAINTENANCE_MEMBER = b'"239999"'
#: Longest error body (bytes).
_LONGEST_ERROR_BYTES = 65_536


class Ban(msgspec.Struct, frozen=True):
    """Ban of this address for `asked_sec` (0: not given), and for the pause of `pauses` at least."""

    why: str
    pauses: GrowingDelay
    asked_sec: float


def read_ban(status: int, headers: Mapping[str, str], body: bytes, exchange_ms: int) -> Ban | None:
    """Return the ban of an answer; None where there is none. `exchange_ms`: the exchange's clock now.

    Bans are 429, 418, -1003 with any error status, and 403 without an error code of the exchange. The end is
    the latest of `Retry-After` and the text's "banned until"; past moments, and spans longer than any ban,
    count as not given.
    """
    if status == OK:
        return None
    error = _error(body)
    if status not in (_TOO_MANY_REQUESTS, _BANNED):
        if error is not None and error.code == _TOO_MANY:
            status = _TOO_MANY_REQUESTS
        elif status != _FORBIDDEN or error is not None:
            return None
    spans = [0.0, _retry_after_sec(headers.get("Retry-After", "").strip(), exchange_ms)]
    if until := _BANNED_UNTIL.search(body):
        spans.append((int(until[1]) - exchange_ms) / 1000)
    return Ban(_WORDS[status], _PAUSES[status], max(span for span in spans if span <= LONGEST_BAN_SEC))


def _retry_after_sec(text: str, exchange_ms: int) -> float:
    """Parse seconds or an HTTP date (RFC 9110, "Retry-After"); 0 for anything else."""
    if text.isascii() and text.isdecimal():
        return float(text[:20])
    try:
        return parsedate_to_datetime(text).timestamp() - exchange_ms / 1000
    except (ValueError, OverflowError):
        return 0.0


def read_later(status: int, body: bytes) -> str | None:
    """Return the reason for not asking this endpoint now; None where the answer has none.

    -1008, -1016, -1109, `{"239999": …}`, and HTML in the place of an answer (200 or 5xx).
    """
    beginning = body[:256].lstrip()
    if beginning.startswith(b"<"):
        is_gateway = status == OK or status >= _SERVER_ERROR
        return f"maintenance or a gateway: status {status}, HTML instead of an answer" if is_gateway else None
    if not beginning.startswith(b"{") or len(body) > _LONGEST_ERROR_BYTES:
        return None
    if _MAINTENANCE_MEMBER in beginning:
        return "the exchange is in maintenance (239999)"
    error = _error(body)
    if error is None or error.code not in _LATER_CODES:
        return None
    return f"the exchange is {_LATER_CODES[error.code]} ({error.code})"


def read_error(status: int, body: bytes) -> ExchangeError:
    """Return the error to raise for an answer that is neither a ban nor maintenance."""
    error = _error(body)
    if status in (_NOT_FOUND, _GONE) or (error is not None and error.code == _NO_SUCH_PATH):
        return EndpointGone(_NO_SUCH_PATH, f"no such endpoint (status {status})")
    if error is None:
        return ExchangeUnavailable(f"status {status} without an error code")
    if status >= _SERVER_ERROR or error.code in _PASSING_CODES:
        return ExchangeUnavailable(f"status {status}, code {error.code}")
    kind = {_INVALID_TIMESTAMP: ClockSkewed, _INVALID_LISTEN_KEY: ListenKeyUnknown}
    return kind.get(error.code, ExchangeRejected)(error.code, error.msg[:200])


def error_code(body: bytes) -> int | None:
    """Return the error code of an answer; None where it has none."""
    error = _error(body)
    return None if error is None else error.code


def _error(body: bytes) -> ErrorBody | None:
    try:
        return read_json(ERROR, body)
    except msgspec.DecodeError:
        return None
