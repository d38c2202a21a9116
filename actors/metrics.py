"""The metrics actor: takes what everyone counts, and answers those who ask over HTTP."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from actors.metric_registry import MetricRegistry
from actors.status_source import StatusSource
from channels import DropOldest, LatestValue, MetricEvent


class Metrics:
    """Drains the metric events into the registry, and serves `/metrics`, `/status` and the probes."""

    def __init__(
        self,
        *,
        events: DropOldest[MetricEvent],
        registry: MetricRegistry,
        status: StatusSource,
        address: LatestValue[str],
        bind: str,
        port: int,
        logger: FilteringBoundLogger,
    ) -> None:
        """`port` 0 takes any free one; `address` is told the URL that is served, such as
        `http://127.0.0.1:8045`."""
        self._events = events
        self._registry = registry
        self._status = status
        self._address = address
        self._bind = bind
        self._port = port
        self._logger = logger
