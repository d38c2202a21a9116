"""The page of notices as served: rendered once a second at most."""

from __future__ import annotations

import trio

from clock import Clock
from monitoring.notices import Notices
from monitoring.page_view.cache import Render

_YOUNG_SEC = 0.9


class NoticesPage:
    """Caches the page for 0.9 s."""

    def __init__(self, notices: Notices, render: Render, clock: Clock) -> None:
        self._notices = notices
        self._render = render
        self._clock = clock
        self._making = trio.Lock()
        self._made = b""
        self._made_at_sec = float("-inf")

    async def document(self) -> bytes:
        """Return the page, less than a second old."""
        async with self._making:
            now_sec = self._clock.now().monotonic_sec
            if now_sec - self._made_at_sec > _YOUNG_SEC:
                content = await self._notices.content()
                await trio.lowlevel.checkpoint()
                self._made, self._made_at_sec = await self._render("notices.html", content), now_sec
            return self._made
