"""The page of notices as served: rendered once a second at most."""

from __future__ import annotations

from clock import Clock
from monitoring.notices import Notices
from monitoring.pacing import pause
from monitoring.page_view.cache import Render
from monitoring.page_view.document_cache import DocumentCache


class NoticesPage:
    """Answers `/notices`."""

    def __init__(self, notices: Notices, render: Render, clock: Clock) -> None:
        self._notices = notices
        self._render = render
        self._documents = DocumentCache[bytes](clock)

    async def document(self) -> bytes:
        """Return the page, less than a second old."""
        return await self._documents.document(self._make)

    async def _make(self) -> bytes:
        content = await self._notices.content()
        await pause()
        return await self._render("notices.html", content)
