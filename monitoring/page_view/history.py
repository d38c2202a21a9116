"""The history page as served: from Redis, within a deadline, and rendered once in 5 s at most."""

from __future__ import annotations

from brain.history import MINUTE_MS, MINUTES_KEPT, Minute
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from monitoring.pacing import paced
from monitoring.page_view.cache import Render
from monitoring.page_view.document_cache import DocumentCache
from monitoring.patience import UnreadError, read_in_time
from page.history_content import SPANS, HistoryContent
from page.history_page import drawn_history
from store.history_protocol import HistoryStore

_YOUNG_SEC = 5.0
_READ_AGAIN_SEC = 20.0
_NO_ANSWER = "Redis does not answer: shown is what was read before."


class HistoryView:
    """Reads the history of the last 24 hours once in 20 s, while it is looked at. Made once."""

    def __init__(
        self,
        store: HistoryStore,
        clocks: Clocks,
        budget: WeightBudget,
        *,
        stale_threshold_sec: float,
        render: Render,
    ) -> None:
        self._store = store
        self._clocks = clocks
        self._budget = budget
        self._stale_threshold_sec = stale_threshold_sec
        self._render = render
        self._documents = DocumentCache[bytes](clocks, young_sec=_YOUNG_SEC)
        self._minutes: tuple[Minute, ...] = ()
        self._read_at_sec = float("-inf")
        self._note = ""

    async def document(self, span: str, end: int | None) -> bytes:
        """Return the page of one of `SPANS` until before `end` (epoch minute; None: now)."""

        async def make() -> bytes:
            await self._read(self._clocks.now().monotonic_sec)
            content = self._content(span, end)
            drawn = await paced(drawn_history(content))
            return await self._render("history.html", content, drawn)

        return await self._documents.document(make, (span, end))

    async def _read(self, now_sec: float) -> None:
        if now_sec - self._read_at_sec < _READ_AGAIN_SEC:
            return
        now = self._now_minute()
        try:
            self._minutes = tuple(await read_in_time(self._store.minutes(now - MINUTES_KEPT, now)))
            self._read_at_sec, self._note = now_sec, ""
        except UnreadError:
            self._note = _NO_ANSWER

    def _content(self, span: str, end: int | None) -> HistoryContent:
        now = self._now_minute()
        return HistoryContent(
            span=span,
            end=now if end is None else min(max(end, now - MINUTES_KEPT + SPANS[span]), now),
            now=now,
            minutes=self._minutes,
            stale_threshold_sec=self._stale_threshold_sec,
            weight_share=self._budget.share_per_min,
            note=self._note,
        )

    def _now_minute(self) -> int:
        """Return the running minute by Redis's clock; by this host's while that is unknown."""
        clocks = self._clocks
        now_ms = clocks.redis_now_ms() if clocks.redis.known else clocks.now().wall_ms
        return now_ms // MINUTE_MS
