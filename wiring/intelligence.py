"""Makes decision intelligence with its parts."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from actors.decision_intelligence.actor import DecisionIntelligence
from actors.decision_intelligence.reports import IntelligenceReports
from actors.decision_intelligence.windows import ResultWindows
from actors.one_player import OnePlayer
from actors.stream_consumer import FailureCounter
from channels import Channels
from clocks.clocks import Clocks
from settings import Settings
from store.intelligence_protocol import IntelligenceStore

#: Of its child spec: a count that is under way.
INTELLIGENCE_GRACE_SEC = 1.5


class IntelligenceMaking:
    """Makes the actor, every incarnation anew. Failures and reports outlive an incarnation."""

    def __init__(
        self,
        channels: Channels,
        store: IntelligenceStore,
        settings: Settings,
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        """`channels` are those of a service with decision intelligence. Raises ValueError for others."""
        if channels.intelligence is None:
            raise ValueError("the channel of decision intelligence was not made")
        self._channels = channels
        self._store = store
        self._settings = settings
        self._clocks = clocks
        self._log = log
        self._failures = FailureCounter()
        self._reports = IntelligenceReports(channels.metrics, channels.intelligence, log)
        self._started_sec = 0

    def intelligence(self) -> DecisionIntelligence:
        """Return a new actor."""
        store, settings, clocks = self._store, self._settings, self._clocks
        self._started_sec = self._started_sec or clocks.now().wall_ms // 1000
        status = {"service_start_ts": str(self._started_sec), "consumer_name": settings.instance}
        return DecisionIntelligence(
            store,
            self._channels.lease,
            self._failures,
            ResultWindows(
                store,
                self._reports,
                refresh_sec=settings.intelligence_refresh_sec,
                status=status,
                clocks=clocks,
            ),
            self._reports,
            by_symbol=settings.symbol_breakdown,
            clocks=clocks,
            one_player=OnePlayer(store.counted_results, "P3.5", take_over=settings.take_over, log=self._log),
            log=self._log,
        )
