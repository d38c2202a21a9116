"""What is answered over HTTP. It only tells: nothing here changes anything."""

from __future__ import annotations

import ipaddress
import math
import re
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from monitoring.http.middleware import Manners, RequestRate
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.cache import LivePage
from monitoring.status.source import StatusSource
from page.rendering import ASSETS, CONTENT_SECURITY_POLICY, asset

#: Prometheus text format.
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST_PLAN_ID = 256
_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::\d+)?")


def application(
    registry: MetricRegistry,
    status: StatusSource,
    page: LivePage,
    rate: RequestRate,
    *,
    loopback: bool,
    logger: FilteringBoundLogger,
) -> Starlette:
    """The ASGI application: GET and HEAD, no body taken, no answer stored by anyone.

    `/metrics`, `/healthz` and `/readyz` are always answered; all the rest within `rate`. Bound to a
    `loopback` address, the rest is for names of this machine alone: the page of somebody's web site, open in
    a browser here, could point its own name at this address and read along.
    """

    async def failed(request: Request, error: Exception) -> Response:
        logger.error("HTTP request failed", path=request.url.path[:100], exc_info=error)
        return _json({"error": "the log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    assets = {name: asset(name) for name in ASSETS}

    def admit(request: Request) -> None:
        if loopback and not _is_local(request.headers.get("host", "")):
            raise HTTPException(HTTPStatus.MISDIRECTED_REQUEST, "ask for localhost or an IP address")
        wait_sec = rate.admit()
        if wait_sec:
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS, headers={"retry-after": str(math.ceil(wait_sec))}
            )

    async def metrics(_: Request) -> Response:
        return Response(await registry.exposition(), headers={"content-type": _EXPOSITION})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        readiness = status.readiness()
        return _json(readiness, HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def status_document(request: Request) -> Response:
        admit(request)
        return _json(await page.status())

    async def root(request: Request) -> Response:
        admit(request)
        return _html(await page.document())

    async def explanation(request: Request) -> Response:
        admit(request)
        plan_id = request.query_params.get("plan", "")
        if not 1 <= len(plan_id) <= _LONGEST_PLAN_ID:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "which plan? /explanation?plan=PLAN_ID")
        remembered, document = await page.explanation(plan_id)
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
        ],
        middleware=[Middleware(Manners)],
        exception_handlers={HTTPException: _refusal, Exception: failed},
    )
    # A redirect to another spelling would repeat whatever Host header came in.
    served.router.redirect_slashes = False
    return served


def is_loopback(bind: str) -> bool:
    """Whether what listens there can be reached from this machine alone."""
    if bind == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    """Whether a Host header is an address or `localhost`: no name that somebody else gives out."""
    found = _HOST.fullmatch(host)
    name = (found[1] or found[2]) if found else ""
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


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
