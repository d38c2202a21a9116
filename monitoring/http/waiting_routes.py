"""Route of the page of what waits."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.page_view.waiting import WaitingView


def waiting_routes(
    view: WaitingView, admit: Callable[[Request], None], html: Callable[[bytes], Response]
) -> list[Route]:
    """Return the routes. `admit` refuses a request, `html` answers with a document."""

    async def waiting(request: Request) -> Response:
        admit(request)
        return html(await view.document())

    return [Route("/waiting", waiting)]
