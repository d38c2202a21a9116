"""Route of the page of what waits."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.http.session_pages import SessionPages
from monitoring.page_view.waiting import WaitingView


def waiting_routes(view: WaitingView, admit: Callable[[Request], None], pages: SessionPages) -> list[Route]:
    """Return the routes. `admit` refuses a request."""

    async def waiting(request: Request) -> Response:
        admit(request)
        return await pages.answer(request, "/waiting", view.document)

    return [Route("/waiting", waiting)]
