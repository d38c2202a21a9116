"""Security headers and rate limits of the HTTP server, and the end of work that nobody waits for."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
import trio
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
#: For every answer but the page, which has a policy of its own.
_NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'"


#: Of a form of `/act`; no other request may have a body.
LARGEST_BODY = 4096
_FORMS = "/act"
_LONGEST_LENGTH = 4


class SecurityHeaders:
    """Refuses requests with a body, but for forms of `/act`; forbids browsers to store or embed answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", _NOTHING_ALLOWED)
            await send(message)

        if scope["type"] == "http" and _has_body(scope, Headers(scope=scope)):
            refusal = Response(
                msgspec.json.encode({"error": "no request body is taken"}),
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                headers={"connection": "close"},
                media_type="application/json",
            )
            await refusal(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


class EndsWithClient:
    """Ends the work on a GET request as soon as its client has gone: nothing is read or made for nobody.

    The work on a form goes on: an act is done, audited and logged whether its person waits or not.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "POST":
            await self._app(scope, receive, send)
            return
        failure: Exception | None = None
        answered = False
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                # Behind an answer the server says the same, and ends the connection within that very send.
                if not answered:
                    nursery.cancel_scope.cancel()

            async def send_on(message: Message) -> None:
                nonlocal answered
                answered = message["type"] == "http.response.body" and not message.get("more_body", False)
                await send(message)

            nursery.start_soon(watch)
            try:
                await self._app(scope, _no_more, send_on)
            except Exception as error:  # noqa: BLE001 - raised again below, without a group around it
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


async def _no_more() -> Message:
    """Receive nothing: such a request has no body, and its end is seen elsewhere."""
    await trio.sleep_forever()


def _has_body(scope: Scope, headers: Headers) -> bool:
    """Return whether a request has a body that is not taken."""
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers:
        return True
    path: str = scope["path"]
    if scope["method"] == "POST" and (path == _FORMS or path.startswith(f"{_FORMS}/")):
        return not length.isdecimal() or len(length) > _LONGEST_LENGTH or int(length) > LARGEST_BODY
    return length != "0"


class RateLimiter:
    """A token bucket, one for all clients: the process that answers them also decides plans."""

    def __init__(self, clock: Clock, *, per_sec: float, burst: int) -> None:
        self._clock = clock
        self._per_sec = per_sec
        self._burst = burst
        self._left = float(burst)
        self._at_sec = clock.now().monotonic_sec

    def admit(self) -> float:
        """Take one token: return 0, or the seconds until there is one."""
        now_sec = self._clock.now().monotonic_sec
        self._left = min(self._left + (now_sec - self._at_sec) * self._per_sec, self._burst)
        self._at_sec = now_sec
        if self._left < 1:
            return (1 - self._left) / self._per_sec
        self._left -= 1
        return 0.0
