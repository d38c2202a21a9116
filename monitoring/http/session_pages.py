"""Pages that have forms for a person with a session, and none for all others."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from monitoring.http.origin import PageOrigin
from monitoring.http.sessions import Session, Sessions
from monitoring.page_view.cache import PageCache
from page.act_content import Forms

Made = Callable[[Forms | None], Awaitable[bytes]]


def session_of(sessions: Sessions | None, origin: PageOrigin, request: Request) -> Session | None:
    """Return the open session of a request; None without one, and where acting on the page is off."""
    return None if sessions is None else sessions.find(request.cookies.get(origin.cookie(request), ""))


def with_forms(answer: Response) -> Response:
    """Let forms of an answer name their origin: without a referrer a browser names none with a form."""
    answer.headers["referrer-policy"] = "same-origin"
    return answer


class SessionPages:
    """Answers with a page in two renderings: one for all with a session, one for all without."""

    def __init__(
        self,
        page: PageCache,
        sessions: Sessions | None,
        origin: PageOrigin,
        html: Callable[[bytes], Response],
    ) -> None:
        self._page = page
        self._sessions = sessions
        self._origin = origin
        self._html = html
        # No text of a page can have these by chance or on purpose.
        self._csrf, self._outcome = secrets.token_hex(16), secrets.token_hex(16)

    async def answer(self, request: Request, address: str, made: Made) -> Response:
        """Return the page of an address; `made` returns its document, with the given forms or without any."""
        session = session_of(self._sessions, self._origin, request)
        if session is None or self._sessions is None:
            return self._html(await made(None))
        forms = Forms(self._csrf, self._outcome, address, self._sessions.acts)
        done = self._sessions.outcome_at(session, address)
        document = await self._page.own(await made(forms), forms, session.csrf, done)
        return with_forms(self._html(document))
