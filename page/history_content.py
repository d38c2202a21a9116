"""Content of the history page."""

from __future__ import annotations

import msgspec

from brain.history import Minute

#: Minutes by the name of a span.
SPANS = {"1h": 60, "6h": 360, "24h": 1440}


class HistoryContent(msgspec.Struct, frozen=True):
    """Minutes that are known, of those before `end` (epoch minute); the running minute is `now`.

    `note`: why they may not be up to date, or empty.
    """

    span: str
    end: int
    now: int
    minutes: tuple[Minute, ...]
    stale_threshold_sec: float
    weight_share: int
    note: str = ""
