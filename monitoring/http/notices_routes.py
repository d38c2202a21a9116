"""The route of the page of notices."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.page_view.notices import NoticesPage


def notices_routes(
    page: NoticesPage, admit: Callable[[Request], None], html: Callable[[bytes], Response]
) -> list[Route]:
    """Return the routes. `admit` refuses a request by raising; `html` makes the answer of a document."""

    async def notices(request: Request) -> Response:
        admit(request)
        return html(await page.document())

    return [Route("/notices", notices)]
