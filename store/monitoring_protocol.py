"""Protocol of the store of pages and `/status`. See `store.protocol` for what all methods share."""

from __future__ import annotations

from typing import Protocol

from store.history_protocol import HistoryStore
from store.protocol import DiagnosticsStore


class MonitoringStore(DiagnosticsStore, HistoryStore, Protocol):
    """Store of all that is visible from outside."""
