"""Routes of the pages that find decisions, plans and symbols."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from brain.identifiers import PlanId
from explanation.printable import printable
from monitoring.find.decisions import Export
from monitoring.find.query import UnreadableQueryError
from monitoring.http.session_pages import SessionPages
from monitoring.monitor import Monitor
from monitoring.page_view.document_cache import DocumentCache
from page.act_content import Forms
from page.find_content import ListedDecision
from page.links import symbol_link
from store.errors import StoreError

_LONGEST = 256
_COLUMNS = ("decided_ms", "plan_id", "symbol", "answer", "reason", "latency_ms", "source", "audit_id")
_INCOMPLETE = "INCOMPLETE: older entries could not be read in time"
#: A spreadsheet takes a cell that begins so for a formula.
_FORMULAS = tuple("=+-@＝＋－＠")


def find_routes(
    monitor: Monitor,
    admit: Callable[[Request], None],
    html: Callable[[bytes, int], Response],
    pages: SessionPages,
) -> list[Route]:
    """Return the routes; `admit` refuses a request beyond the rate, `html` answers with a document."""
    find, page = monitor.find, monitor.page
    lists = DocumentCache[tuple[int, bytes]](find.clock)
    plans = DocumentCache[tuple[int, bytes]](find.clock)
    symbols = DocumentCache[bytes](find.clock)

    async def shown(template: str, content: object, status: int = HTTPStatus.OK) -> Response:
        return html(await page.document_of(template, content), status)

    async def decisions(request: Request) -> Response:
        admit(request)

        async def make() -> tuple[int, bytes]:
            status, content = await find.decisions.page(request.query_params)
            return status, await page.document_of("find_decisions.html", content)

        status, document = await lists.document(make, request.url.query)
        return html(document, status)

    async def export(request: Request) -> Export:
        admit(request)
        try:
            return await find.decisions.export(request.query_params)
        except UnreadableQueryError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from None
        except StoreError as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"Redis cannot be read: {error}") from None

    async def decisions_csv(request: Request) -> Response:
        exported = await export(request)
        name = "decisions.csv" if exported.back_to_ms is None else "decisions-incomplete.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_csv(exported), media_type="text/csv", headers=headers)

    async def decisions_json(request: Request) -> Response:
        return StreamingResponse(_json(await export(request)), media_type="application/json")

    async def find_text(request: Request) -> Response:
        admit(request)
        text = request.query_params.get("q", "")
        if not text.strip() or len(text) > _LONGEST:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"/find?q=TEXT, at most {_LONGEST} characters")
        found = await find.finding.find(text)
        if isinstance(found, str):
            return RedirectResponse(found, HTTPStatus.SEE_OTHER)
        status = HTTPStatus.OK if found.found else HTTPStatus.NOT_FOUND
        return await shown("find_candidates.html", found, status)

    async def plan(request: Request) -> Response:
        admit(request)
        plan_id = request.path_params.get("plan_id") or request.query_params.get("plan_id", "")
        if not 1 <= len(plan_id) <= _LONGEST:
            raise HTTPException(HTTPStatus.NOT_FOUND)

        async def make() -> tuple[int, bytes]:
            content = await find.plans.page(PlanId(plan_id))
            status = HTTPStatus.OK
            if content.explained is None:
                status = HTTPStatus.SERVICE_UNAVAILABLE if content.unread else HTTPStatus.NOT_FOUND
            return status, await page.document_of("find_plan.html", content)

        status, document = await plans.document(make, plan_id)
        return html(document, status)

    async def symbol(request: Request) -> Response:
        admit(request)
        name = request.path_params["symbol"]
        known = await find.symbols.known(name)
        if known is None:
            if len(name) > _LONGEST:
                raise HTTPException(HTTPStatus.NOT_FOUND)
            return RedirectResponse(f"/find?q={quote(name, safe='')}", HTTPStatus.SEE_OTHER)

        async def made(forms: Forms | None) -> bytes:
            async def make() -> bytes:
                return await page.document_of("find_symbol.html", await find.symbols.page(known), forms=forms)

            return await symbols.document(make, (known, forms))

        return await pages.answer(request, symbol_link(known), made)

    return [
        Route("/decisions", decisions),
        Route("/decisions.csv", decisions_csv),
        Route("/decisions.json", decisions_json),
        Route("/find", find_text),
        Route("/plans", plan),
        Route("/plans/{plan_id:path}", plan),
        Route("/symbols/{symbol:path}", symbol),
    ]


async def _csv(exported: Export) -> AsyncIterator[bytes]:
    yield (",".join(_COLUMNS) + "\r\n").encode()
    async for rows in exported.slices():
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows(map(_cells, rows))
        yield text.getvalue().encode()
    if exported.back_to_ms is not None:
        yield f"{exported.back_to_ms},,,,{_INCOMPLETE},,,\r\n".encode()


async def _json(exported: Export) -> AsyncIterator[bytes]:
    yield b'{"reads_back_to_ms":%s,"decisions":[' % msgspec.json.encode(exported.back_to_ms)
    separator = b""
    async for rows in exported.slices():
        yield separator + msgspec.json.encode(rows)[1:-1]
        separator = b","
    yield b"]}"


def _cells(row: ListedDecision) -> tuple[str | int, ...]:
    latency = "" if row.latency_ms is None else row.latency_ms
    texts = map(_cell, (row.plan_id, row.symbol, row.answer, row.reason))
    return (row.at_ms, *texts, latency, _cell(row.source), row.audit_id)


def _cell(text: str) -> str:
    """Return a text that is no formula, and has its invisible characters escaped, line ends among them."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULAS) else shown
