"""The metrics actor: takes what everyone counts, and answers those who ask over HTTP."""

from __future__ import annotations

from collections import deque

import trio
from structlog.typing import FilteringBoundLogger

from channels import DropOldest, LatestValue, MetricEvent
from clock import Clock
from monitoring.http.app import application, is_loopback
from monitoring.http.middleware import RequestRate
from monitoring.http.server import HttpServer, listening_url, open_listeners
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.cache import LivePage
from monitoring.status.source import StatusSource
from monitoring.unreadable_symbols import UnreadableSymbols
from supervision import Heartbeat

#: Decisions wait no longer for a burst of events than it takes to apply so many (about 1 ms).
_EVENTS_AT_A_TIME = 500
#: What is not for scrapes and probes: somebody who looks at the page asks every two seconds.
_REQUESTS_PER_SEC, _BURST = 40.0, 120
_LOOK_SEC = 1.0


class Metrics:
    """Drains the metric events into the registry; serves the page, `/metrics`, `/status` and the probes.

    Each second it logs the symbols that became unreadable or readable again.
    """

    def __init__(
        self,
        *,
        events: DropOldest[MetricEvent],
        registry: MetricRegistry,
        status: StatusSource,
        page: LivePage,
        unreadable: UnreadableSymbols,
        clock: Clock,
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
        self._page = page
        self._unreadable = unreadable
        self._clock = clock
        self._address = address
        self._bind = bind
        self._port = port
        self._logger = logger

    async def run(self, heartbeat: Heartbeat) -> None:
        """Serve until cancelled, or asked to stop. Raises AddressUnusableError."""
        listeners = await open_listeners(self._bind, self._port)
        app = application(
            self._registry,
            self._status,
            self._page,
            RequestRate(self._clock, per_sec=_REQUESTS_PER_SEC, burst=_BURST),
            loopback=is_loopback(self._bind),
            logger=self._logger,
        )
        server = HttpServer(app, logger=self._logger)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listeners)
            url = listening_url(listeners)
            self._address.send(url)
            self._logger.info("HTTP", address=url)
            nursery.start_soon(self._drain, heartbeat)
            nursery.start_soon(self._log_unreadable, heartbeat)
            try:
                with heartbeat.strand() as strand, strand.idle():
                    await heartbeat.stopping.wait()
            finally:
                self._address.withdraw()
            nursery.cancel_scope.cancel()

    async def _log_unreadable(self, heartbeat: Heartbeat) -> None:
        with heartbeat.strand() as strand:
            while True:
                self._unreadable.log_changes(self._logger)
                with strand.idle():
                    await trio.sleep(_LOOK_SEC)

    async def _drain(self, heartbeat: Heartbeat) -> None:
        while True:
            with heartbeat.idle():
                events = deque(await self._events.receive_all())
            try:
                while events:
                    for _ in range(min(len(events), _EVENTS_AT_A_TIME)):
                        self._registry.apply(events.popleft())
                    heartbeat.beat()
                    await trio.lowlevel.checkpoint()
            finally:
                # What is in hand when this actor fails is nowhere else any more.
                for event in events:
                    self._registry.apply(event)
