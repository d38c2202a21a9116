"""Logs the gate distribution once a minute."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from monitoring.gate_distribution import GateDistribution
from supervision import Heartbeat

_LINE_SEC = 60.0


class GateReporter:
    """Logs the decisions of the last 5 min by reason, once a minute and at the end."""

    def __init__(self, distribution: GateDistribution, log: FilteringBoundLogger) -> None:
        self._distribution = distribution
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Log until asked to stop."""
        while not heartbeat.stopping.is_set():
            with heartbeat.idle(), trio.move_on_after(_LINE_SEC):
                await heartbeat.stopping.wait()
            self._log.info(self._distribution.line())
