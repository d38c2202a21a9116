"""Logs once a minute what the gates did."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from monitoring.gate_distribution import GateDistribution
from supervision import Heartbeat

_LINE_SEC = 60.0


class GateReporter:
    """Says once a minute what the gates did."""

    def __init__(self, distribution: GateDistribution, log: FilteringBoundLogger) -> None:
        self._distribution = distribution
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Go on until asked to stop."""
        while not heartbeat.stopping.is_set():
            with heartbeat.idle(), trio.move_on_after(_LINE_SEC):
                await heartbeat.stopping.wait()
            self._log.info(self._distribution.line())
