"""Routes of the history page."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.page_view.history import HistoryView
from page.history_content import SPANS

_END = re.compile(r"[0-9]{1,9}", re.ASCII)
_USUAL = "24h"


def history_routes(
    view: HistoryView, admit: Callable[[Request], None], html: Callable[[bytes], Response]
) -> list[Route]:
    """Return the routes. `admit` refuses a request, `html` answers with a document."""

    async def history(request: Request) -> Response:
        admit(request)
        span, end = request.query_params.get("span", _USUAL), request.query_params.get("end")
        if span not in SPANS:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"span is one of {', '.join(SPANS)}")
        if end is not None and not _END.fullmatch(end):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "end is a minute since 1970")
        return html(await view.document(span, None if end is None else int(end)))

    return [Route("/history", history)]
