"""The metrics actor: takes what everyone counts, and answers those who ask over HTTP."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.heartbeat import Heartbeat
from actors.http_api import application
from actors.http_server import HttpServer, listening_url, open_listeners
from actors.metric_registry import MetricRegistry
from actors.status_source import StatusSource
from channels import DropOldest, LatestValue, MetricEvent

#: Decisions wait no longer for a burst of events than it takes to apply so many (about 1 ms).
_EVENTS_AT_A_TIME = 500


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

    async def run(self, heartbeat: Heartbeat) -> None:
        """Serve until cancelled, or asked to stop. Raises AddressUnusableError."""
        listeners = await open_listeners(self._bind, self._port)
        server = HttpServer(application(self._registry, self._status), logger=self._logger)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listeners)
            url = listening_url(listeners)
            self._address.send(url)
            self._logger.info("HTTP", address=url)
            nursery.start_soon(self._drain, heartbeat)
            with heartbeat.strand() as strand, strand.idle():
                await heartbeat.stopping.wait()
            nursery.cancel_scope.cancel()

    async def _drain(self, heartbeat: Heartbeat) -> None:
        while True:
            with heartbeat.idle():
                events = await self._events.receive_all()
            for number, event in enumerate(events, 1):
                self._registry.apply(event)
                if number % _EVENTS_AT_A_TIME == 0:
                    heartbeat.beat()
                    await trio.lowlevel.checkpoint()
