"""The page of notices as served: rendered once a second at most."""

from __future__ import annotations

from clock import Clock
from monitoring.notices import Notices
from monitoring.pacing import pause
from monitoring.page_view.cache import Render
from monitoring.page_view.document_cache import DocumentCache
from page.act_content import Forms


class NoticesPage:
    """Answers `/notices`."""

    def __init__(self, notices: Notices, render: Render, clock: Clock) -> None:
        self._notices = notices
        self._render = render
        self._documents = DocumentCache[bytes](clock)

    async def document(self, forms: Forms | None = None) -> bytes:
        """Return the page, less than a second old."""

        async def make() -> bytes:
            content = await self._notices.content()
            await pause()
            return await self._render("notices.html", content, forms=forms)

        return await self._documents.document(make, forms)
