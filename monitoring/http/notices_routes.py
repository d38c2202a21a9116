"""The route of the page of notices."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.http.session_pages import SessionPages
from monitoring.page_view.notices import NoticesPage


def notices_routes(page: NoticesPage, admit: Callable[[Request], None], pages: SessionPages) -> list[Route]:
    """Return the routes. `admit` refuses a request by raising."""

    async def notices(request: Request) -> Response:
        admit(request)
        return await pages.answer(request, "/notices", page.document)

    return [Route("/notices", notices)]
