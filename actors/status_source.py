"""Reads the service's live state for those who ask over HTTP. Looks, and never touches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from actors.live_metrics import Channel
from actors.metric_registry import MetricRegistry
from actors.status_document import (
    SettingShown,
)
from actors.stream_status import StreamStatus
from brain.allowlist import Allowlist
from brain.symbol_rules import SymbolRules
from channels import LatestValue, Lease, SnapshotBook
from clock import Clock
from supervision import NodeStatus


class StatusSource:
    """Made once by the wiring, inside the trio run; what it reads are channels, and the tree when asked."""

    def __init__(
        self,
        *,
        clock: Clock,
        build_tag: str,
        instance: str,
        settings: Sequence[SettingShown],
        tree_status: Callable[[], NodeStatus],
        waits: Callable[[], list[tuple[str, str]]],
        needed_actors: Sequence[str],
        book: SnapshotBook,
        stale_threshold_sec: float,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        allowlist: LatestValue[Allowlist],
        hedge_mode: LatestValue[bool],
        ledgers_adopted: LatestValue[bool],
        lease: LatestValue[Lease],
        stream: LatestValue[StreamStatus],
        channels: Sequence[Channel],
        registry: MetricRegistry,
    ) -> None:
        """`needed_actors`: names of children without which no plan is decided. Uptime counts from here."""
        self._clock = clock
        self._build_tag = build_tag
        self._instance = instance
        self._settings = tuple(settings)
        self._tree_status = tree_status
        self._waits = waits
        self._needed_actors = tuple(needed_actors)
        self._book = book
        self._stale_threshold_sec = stale_threshold_sec
        self._symbol_rules = symbol_rules
        self._allowlist = allowlist
        self._hedge_mode = hedge_mode
        self._ledgers_adopted = ledgers_adopted
        self._lease = lease
        self._stream = stream
        self._channels = channels
        self._registry = registry
        self._started = clock.now()
