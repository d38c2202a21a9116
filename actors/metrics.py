"""The metrics actor: applies metric events, and serves HTTP."""

from __future__ import annotations

from collections import deque

import trio
from structlog.typing import FilteringBoundLogger

from channels import DropOldest, LatestValue, MetricEvent
from clock import Clock
from monitoring.http.app import application
from monitoring.http.middleware import RateLimiter
from monitoring.http.server import HttpServer, listening_url, open_listeners
from monitoring.monitor import Monitor
from settings.hosts import is_loopback_host
from supervision import Heartbeat

#: About 1 ms of work: decisions wait no longer for a burst of events.
_EVENTS_AT_A_TIME = 500
#: Limit of all requests but scrapes and probes. An open page asks every two seconds.
_REQUESTS_PER_SEC, _BURST = 40.0, 120
_LOOK_SEC = 1.0


class Metrics:
    """Drains the metric events into the registry; serves the page, `/metrics`, `/status` and the probes.

    Each second it logs the symbols that became unreadable or readable again, and lets the desk's pages look.
    """

    def __init__(
        self,
        monitor: Monitor,
        events: DropOldest[MetricEvent],
        address: LatestValue[str],
        *,
        bind: str,
        port: int,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """`port` 0 takes any free one; `address` is sent the URL that is served, such as
        `http://127.0.0.1:8045`."""
        self._monitor = monitor
        self._events = events
        self._address = address
        self._bind = bind
        self._port = port
        self._clock = clock
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Serve until cancelled, or asked to stop. Raises AddressUnusableError."""
        listeners = await open_listeners(self._bind, self._port)
        app = application(
            self._monitor,
            RateLimiter(self._clock, per_sec=_REQUESTS_PER_SEC, burst=_BURST),
            loopback=is_loopback_host(self._bind),
            log=self._log,
        )
        server = HttpServer(app, log=self._log)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listeners)
            url = listening_url(listeners)
            self._address.send(url)
            self._log.info("HTTP", address=url)
            nursery.start_soon(self._drain, heartbeat)
            nursery.start_soon(self._log_unreadable, heartbeat)
            try:
                with heartbeat.task() as task, task.idle():
                    await heartbeat.stopping.wait()
            finally:
                self._address.withdraw()
            nursery.cancel_scope.cancel()

    async def _log_unreadable(self, heartbeat: Heartbeat) -> None:
        with heartbeat.task() as task:
            while True:
                self._monitor.unreadable.log_changes(self._log)
                self._monitor.find.look()
                with task.idle():
                    await trio.sleep(_LOOK_SEC)

    async def _drain(self, heartbeat: Heartbeat) -> None:
        while True:
            with heartbeat.idle():
                events = deque(await self._events.receive_all())
            try:
                while events:
                    for _ in range(min(len(events), _EVENTS_AT_A_TIME)):
                        self._monitor.registry.apply(events.popleft())
                    heartbeat.beat()
                    await trio.lowlevel.checkpoint()
            finally:
                # These events are nowhere else any more when this actor fails.
                for event in events:
                    self._monitor.registry.apply(event)
