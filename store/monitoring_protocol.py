"""Protocol of the store of pages and `/status`. See `store.protocol` for what all methods share."""

from __future__ import annotations

from typing import Protocol

from store.history_protocol import HistoryStore
from store.operator_protocol import OperatorStore
from store.protocol import DiagnosticsStore
from store.waiting_protocol import WaitingStore


class MonitoringStore(DiagnosticsStore, HistoryStore, WaitingStore, OperatorStore, Protocol):
    """Store of all that is visible from outside, and of the acts on the page."""
