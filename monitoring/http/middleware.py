"""Security headers and rate limits of the HTTP server."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clock import Clock

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
#: For whatever a browser might take for a document; the page has a policy of its own.
_NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'"


class Manners:
    """Refuses requests with a body, which nothing here reads; forbids to store or embed what is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("content-security-policy", _NOTHING_ALLOWED)
            await send(message)

        if scope["type"] == "http" and _has_body(Headers(scope=scope)):
            refusal = Response(
                msgspec.json.encode({"error": "no request body is taken"}),
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                headers={"connection": "close"},
                media_type="application/json",
            )
            await refusal(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class RequestRate:
    """A bucket of requests that fills up again with time, one for all clients.

    One process answers and decides: what asks for the page a thousand times a second must not have it.
    """

    def __init__(self, clock: Clock, *, per_sec: float, burst: int) -> None:
        self._clock = clock
        self._per_sec = per_sec
        self._burst = burst
        self._left = float(burst)
        self._at_sec = clock.now().monotonic_sec

    def admit(self) -> float:
        """Take one request out; 0, or how many seconds there is none to be had for."""
        now_sec = self._clock.now().monotonic_sec
        self._left = min(self._left + (now_sec - self._at_sec) * self._per_sec, self._burst)
        self._at_sec = now_sec
        if self._left < 1:
            return (1 - self._left) / self._per_sec
        self._left -= 1
        return 0.0
