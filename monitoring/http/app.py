"""The HTTP routes. All of them only read, but for the forms of `/act`."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from brain.identifiers import PlanId
from monitoring.http.act_routes import act_routes
from monitoring.http.find_routes import find_routes
from monitoring.http.history_routes import history_routes
from monitoring.http.middleware import EndsWithClient, RateLimiter, SecurityHeaders
from monitoring.http.notices_routes import notices_routes
from monitoring.http.session_pages import SessionPages
from monitoring.http.waiting_routes import waiting_routes
from monitoring.monitor import Monitor
from page.rendering import ASSETS, CONTENT_SECURITY_POLICY, asset

#: Prometheus text format.
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST_PLAN_ID = 256


def application(
    monitor: Monitor, limiter: RateLimiter, *, loopback: bool, log: FilteringBoundLogger
) -> Starlette:
    """Return the ASGI application: no cached answer; but for `/act` GET and HEAD without a body.

    `/metrics`, `/healthz` and `/readyz` are always answered, the other routes within `limiter`. Bound to a
    `loopback` address, the other routes answer to `localhost`, addresses and the public origin alone: a web
    site that is open in a browser on this host could point its own name at this address and read the answers
    (DNS rebinding).
    """
    page = monitor.page

    async def failed(request: Request, error: Exception) -> Response:
        log.error("HTTP request failed", path=request.url.path[:100], exc_info=error)
        return _json({"error": "the log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    pages = SessionPages(page, monitor.sessions, monitor.origin, _html)
    assets = {name: asset(name) for name in ASSETS}

    def admit(request: Request) -> None:
        if loopback and not monitor.origin.is_known(request):
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                "ask for localhost, an IP address, or the host of P33_PAGE_ORIGIN",
            )
        wait_sec = limiter.admit()
        if wait_sec:
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS, headers={"retry-after": str(math.ceil(wait_sec))}
            )

    async def metrics(_: Request) -> Response:
        return Response(await monitor.registry.exposition(), headers={"content-type": _EXPOSITION})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        readiness = monitor.status.readiness()
        return _json(readiness, HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def status_document(request: Request) -> Response:
        admit(request)
        return _json(monitor.notices.status_document())

    async def root(request: Request) -> Response:
        admit(request)
        return _html(await page.document())

    async def explanation(request: Request) -> Response:
        admit(request)
        plan_id = request.query_params.get("plan", "")
        if not 1 <= len(plan_id) <= _LONGEST_PLAN_ID:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "which plan? /explanation?plan=PLAN_ID")
        remembered, document = await page.explanation(PlanId(plan_id))
        return _html(document, HTTPStatus.OK if remembered else HTTPStatus.NOT_FOUND)

    async def static(request: Request) -> Response:
        admit(request)
        name = request.path_params["name"]
        if name not in assets:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(assets[name], headers={"content-type": ASSETS[name]})

    served = Starlette(
        routes=[
            Route("/", root),
            Route("/explanation", explanation),
            Route("/page/{name}", static),
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/status", status_document),
            *act_routes(monitor, admit, _html),
            *find_routes(monitor, admit, _html, pages),
            *notices_routes(monitor.notices_page, admit, pages),
            *history_routes(monitor.history_page, admit, _html),
            *waiting_routes(monitor.waiting_page, admit, pages),
        ],
        middleware=[Middleware(SecurityHeaders), Middleware(EndsWithClient)],
        exception_handlers={HTTPException: _refusal, Exception: failed},
    )
    # A redirect to another spelling would repeat whatever Host header came in.
    served.router.redirect_slashes = False
    return served


async def _refusal(_: Request, refused: Exception) -> Response:
    # Starlette calls this for no other exception; its signature says less.
    assert isinstance(refused, HTTPException)  # noqa: S101
    answer = _json({"error": refused.detail}, refused.status_code)
    answer.headers.update(refused.headers or {})
    return answer


def _html(document: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(
        document,
        status,
        headers={"content-security-policy": CONTENT_SECURITY_POLICY},
        media_type="text/html",
    )


def _json(body: object, status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
