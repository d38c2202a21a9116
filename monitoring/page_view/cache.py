"""The operator page as served: rendered once a second at most, with pauses while rendering."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import trio

from brain.identifiers import PlanId
from clock import Clock
from explanation.sections import sections_of
from monitoring.pacing import pause
from monitoring.page_view.document_cache import DocumentCache
from monitoring.page_view.source import PageSource
from page.act_content import ActDone, Forms
from page.rendering import Page


class Render(Protocol):
    """Makes a document of a template, its content, and its charts and forms, if it has any."""

    async def __call__(
        self, template: str, content: object, drawn: object = None, forms: Forms | None = None
    ) -> bytes: ...


class PageCache:
    """Caches the page for 0.9 s. Compiles its templates at the first request."""

    def __init__(self, source: PageSource, clock: Clock, *, acting: bool = False) -> None:
        """`acting`: the page has forms, and says where."""
        self._acting = acting
        self._source = source
        self._page: Page | None = None
        self._compiling = trio.Lock()
        self._documents = DocumentCache[bytes](clock)
        self._explanations = DocumentCache[tuple[bool, bytes]](clock)

    async def document(self) -> bytes:
        """Return the page, less than a second old."""
        return await self._documents.document(self._make)

    async def _make(self) -> bytes:
        page = await self._compiled()
        parts: list[str] = []
        for part in page.document(await self._source.content()):
            parts.append(part)
            await pause()
        return "".join(parts).encode()

    async def document_of(
        self, template: str, content: object, drawn: object = None, forms: Forms | None = None
    ) -> bytes:
        """Render a page of its own in parts. `drawn`: its charts, `forms`: its forms, if it has any."""
        parts: list[str] = []
        for part in (await self._compiled()).document_of(template, content, drawn, forms):
            parts.append(part)
            await pause()
        return "".join(parts).encode()

    async def own(self, document: bytes, forms: Forms, csrf: str, done: ActDone | None) -> bytes:
        """Put a person's own into the places of a document with forms: token, and outcome of the last act."""
        outcome = b"" if done is None else await self.document_of("outcome.html", done)
        return document.replace(forms.csrf.encode(), csrf.encode()).replace(forms.outcome.encode(), outcome)

    async def explanation(self, plan_id: PlanId) -> tuple[bool, bytes]:
        """Return whether the plan's decision is remembered, and the document that explains it or says so."""

        async def make() -> tuple[bool, bytes]:
            explained = await self._source.explanation(plan_id)
            if explained is None:
                return False, (await self._compiled()).unexplained(plan_id).encode()
            return True, (await self._compiled()).explanation(sections_of(explained)).encode()

        return await self._explanations.document(make, plan_id)

    async def _compiled(self) -> Page:
        async with self._compiling:
            if self._page is None:
                # Some 40 ms of computing, which must not be at the cost of decisions.
                self._page = await trio.to_thread.run_sync(partial(Page, acting=self._acting))
        return self._page
