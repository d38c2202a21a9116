"""What is answered over HTTP. It only tells: nothing here changes anything."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.metric_registry import MetricRegistry
from actors.status_source import StatusSource

#: Prometheus text format.
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def application(registry: MetricRegistry, status: StatusSource) -> Starlette:
    """The ASGI application: GET and HEAD, no body taken, no answer stored by anyone."""

    async def metrics(_: Request) -> Response:
        return Response(await registry.exposition(), headers={"content-type": _EXPOSITION})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        readiness = status.readiness()
        return _json(readiness, HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def status_document(_: Request) -> Response:
        return _json(status.status())

    async def root(_: Request) -> Response:
        return RedirectResponse("/status", HTTPStatus.TEMPORARY_REDIRECT)

    served = Starlette(
        routes=[
            Route("/", root),
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/status", status_document),
        ],
        middleware=[Middleware(_Manners)],
        exception_handlers={HTTPException: _refusal},
    )
    # A redirect to another spelling would repeat whatever Host header came in.
    served.router.redirect_slashes = False
    return served


class _Manners:
    """Refuses requests with a body, which nothing here reads, and forbids to store what is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unstored(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["cache-control"] = "no-store"
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        if scope["type"] == "http" and _has_body(Headers(scope=scope)):
            refusal = _json({"error": "no request body is taken"}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send_unstored)
        else:
            await self._app(scope, receive, send_unstored)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _refusal(_: Request, refused: Exception) -> Response:
    # Starlette calls this for no other exception; its signature says less.
    assert isinstance(refused, HTTPException)  # noqa: S101
    answer = _json({"error": refused.detail}, refused.status_code)
    answer.headers.update(refused.headers or {})
    return answer


def _json(body: object, status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
