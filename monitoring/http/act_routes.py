"""Routes of the page on which an operator acts."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.firing import NoticeKind
from monitoring.http.middleware import LARGEST_BODY
from monitoring.http.origin import PageOrigin
from monitoring.http.session_pages import session_of, with_forms
from monitoring.http.sessions import (
    SESSION_SEC,
    Session,
    Sessions,
    TooManyFailuresError,
    WrongTokenError,
    is_of,
)
from monitoring.monitor import Monitor
from monitoring.page_view.act import ACTS, PageActs, UnusableFormError
from page.act_content import ActContent, ActDone, Question
from page.links import has_forms

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,40}", re.ASCII)
_MOST_FIELDS = 12
_BODY_SEC = 5.0
_FORM = "application/x-www-form-urlencoded"
_PATH = "/act"

_Admit = Callable[[Request], None]
_Html = Callable[[bytes, int], Response]
_Shown = Callable[[ActContent, int], Awaitable[Response]]


def act_routes(monitor: Monitor, admit: _Admit, html: _Html) -> list[Route]:
    """Return the routes; without a token a page that says so, and 405 for each form."""

    async def shown(content: ActContent, status: int) -> Response:
        return with_forms(html(await monitor.page.document_of("act.html", content), status))

    async def off(request: Request) -> Response:
        admit(request)
        if request.method == "POST":
            raise HTTPException(
                HTTPStatus.METHOD_NOT_ALLOWED, "acting on the page is off", {"allow": "GET, HEAD"}
            )
        return await shown(ActContent(enabled=False), HTTPStatus.OK)

    if monitor.acts is None or monitor.sessions is None:
        return [
            Route("/act", off, methods=["GET", "POST"]),
            Route("/act/{act}", off, methods=["GET", "POST"]),
        ]
    forms = _Forms(monitor.acts, monitor.sessions, monitor.origin, admit, shown)
    return [
        Route("/act", forms.page),
        Route("/act/session", forms.open, methods=["POST"]),
        Route("/act/end", forms.end, methods=["POST"]),
        Route("/act/{act}", forms.act, methods=["POST"]),
    ]


class _Forms:
    """Answers to the forms. Each checks origin, session and the session's token in the form."""

    def __init__(
        self, acts: PageActs, sessions: Sessions, origin: PageOrigin, admit: _Admit, shown: _Shown
    ) -> None:
        self._acts = acts
        self._sessions = sessions
        self._origin = origin
        self._admit = admit
        self._shown = shown

    async def page(self, request: Request) -> Response:
        """Show the forms, with the latest outcome; without a session the one that opens it."""
        self._admit(request)
        session = session_of(self._sessions, self._origin, request)
        if session is None:
            return await self._shown(ActContent(enabled=True), HTTPStatus.OK)
        return await self._in_session(session, state=await self._acts.state())

    async def open(self, request: Request) -> Response:
        """Open a session with the token."""
        form = await self._form(request)
        name = form.get("name", "").strip()
        if not _NAME.fullmatch(name):
            return await self._refused("name: 1 to 40 of the characters A-Z a-z 0-9 . _ @ -")
        try:
            cookie = self._sessions.open(form.get("token", ""), name)
        except WrongTokenError:
            self._acts.note_session("Wrong token on the page", name, self._origin.address(request))
            return await self._refused("The token is another.", HTTPStatus.FORBIDDEN)
        except TooManyFailuresError as failures:
            answer = await self._refused(
                "Five tokens were wrong within a minute: wait.", HTTPStatus.TOO_MANY_REQUESTS
            )
            answer.headers["retry-after"] = str(math.ceil(failures.wait_sec))
            return answer
        self._acts.note_session("Session on the page", name, self._origin.address(request))
        answer = _to_page()
        answer.set_cookie(
            self._origin.cookie(request),
            cookie,
            max_age=SESSION_SEC,
            secure=self._origin.is_public(request),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def end(self, request: Request) -> Response:
        """End the session."""
        await self._checked(request)
        self._sessions.end(self._cookie(request))
        answer = _to_page()
        answer.delete_cookie(
            self._origin.cookie(request),
            secure=self._origin.is_public(request),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def act(self, request: Request) -> Response:
        """Ask for consent to an act, or do what was consented to."""
        act = request.path_params["act"]
        if act not in ACTS:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        session, form = await self._checked(request)
        back = form.get("back", _PATH)
        if not has_forms(back):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "back: the address of a page with forms")
        try:
            answer = await self._acts.act(act, form, name=session.name, address=self._origin.address(request))
        except UnusableFormError as error:
            self._sessions.note(session, ActDone(good=False, text=str(error)), _PATH)
            return await self._in_session(
                session, state=await self._acts.state(), status=HTTPStatus.BAD_REQUEST, back=back
            )
        if isinstance(answer, Question):
            session.done = None
            return await self._in_session(session, question=answer, back=back)
        self._sessions.note(session, answer, back)
        return _to_page(back)

    async def _in_session(
        self,
        session: Session,
        *,
        state: tuple[str, ...] = (),
        question: Question | None = None,
        status: int = HTTPStatus.OK,
        back: str = _PATH,
    ) -> Response:
        content = ActContent(
            enabled=True,
            name=session.name,
            csrf=session.csrf,
            state=state,
            kinds=tuple(NoticeKind),
            done=session.done,
            back=back,
            question=question,
        )
        return await self._shown(content, status)

    async def _refused(self, text: str, status: int = HTTPStatus.BAD_REQUEST) -> Response:
        return await self._shown(ActContent(enabled=True, done=ActDone(good=False, text=text)), status)

    async def _checked(self, request: Request) -> tuple[Session, Mapping[str, str]]:
        """Return session and form. Raises HTTPException where one is missing or not of the other."""
        form = await self._form(request)
        session = session_of(self._sessions, self._origin, request)
        if session is None:
            raise HTTPException(HTTPStatus.FORBIDDEN, "there is no session: open one at /act")
        if not is_of(session, form.get("csrf", "")):
            raise HTTPException(HTTPStatus.FORBIDDEN, "the form is of another session: load /act again")
        return session, form

    def _cookie(self, request: Request) -> str:
        return request.cookies.get(self._origin.cookie(request), "")

    async def _form(self, request: Request) -> Mapping[str, str]:
        self._admit(request)
        refusal = self._origin.refusal(request)
        if refusal is not None:
            raise HTTPException(HTTPStatus.FORBIDDEN, refusal)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {_FORM}")
        body = await _body(request)
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
            )
        except ValueError:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the form cannot be read") from None
        form = dict(pairs)
        if len(form) < len(pairs):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a field is there twice")
        return form


async def _body(request: Request) -> bytes:
    """Return a body of at most 4096 bytes that comes within 5 s. Raises HTTPException for any other."""
    body = b""
    with trio.move_on_after(_BODY_SEC) as waiting:
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except ClientDisconnect:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the form is not complete") from None
    if waiting.cancelled_caught:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT)
    return body


def _to_page(address: str = _PATH) -> Response:
    # Relative: the Host header is whatever came in.
    return Response(status_code=HTTPStatus.SEE_OTHER, headers={"location": address})
