"""Metrics, log line and status of decision intelligence. None of them waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import trio
from structlog.typing import FilteringBoundLogger

from brain.identifiers import EntryId
from brain.intelligence.outcome import Outcome, ResultOutcome
from brain.intelligence.windows import OTHER, SHOWN_WINDOW, Counts, distribution_line
from channels import Count, DropOldest, IntelligenceNow, LatestValue, MetricEvent, Observe, ResultWindow
from store.intelligence_records import MOST_REASONS
from store.records import Entry

_LINE_SEC = 60.0
_MOST_SHOWN = 10


class IntelligenceReports:
    """Reports of all incarnations of the actor."""

    def __init__(
        self,
        metrics: DropOldest[MetricEvent],
        shown: LatestValue[IntelligenceNow],
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics = metrics
        self._shown = shown
        self._log = log
        #: Reasons that have a series of their own.
        self._named: set[str] = set()
        self._counted = 0
        self._next_line_sec: float | None = None

    def counted(self, results: Sequence[tuple[Entry, ResultOutcome]], now_ms: int) -> None:
        """Report results that were counted at `now_ms` by Redis's clock."""
        self._counted += len(results)
        outcomes = Counter(outcome.outcome for _, outcome in results)
        stopped = Counter(
            (outcome.gate.value, self._series(outcome.reason))
            for _, outcome in results
            if outcome.gate is not None
        )
        for decision, times in outcomes.items():
            self._metrics.send(Count("p35_results_total", (decision.value,), times))
        for labels, times in stopped.items():
            self._metrics.send(Count("p35_reason_total", labels, times))
        lags_ms = Counter(
            max(now_ms - entry.published_ms, 0) for entry, _ in results if entry.published_ms is not None
        )
        for lag_ms, times in lags_ms.items():
            self._metrics.send(Observe("p35_lag_seconds", lag_ms / 1000, times))

    def failed(self, entry_id: EntryId) -> None:
        """Report a result that became a dead letter."""
        self._log.warning("Result not counted: it has failed too often", entry_id=entry_id)

    def rebuilt(self, windows: Mapping[str, Counts], *, now_ms: int, pending: int) -> None:
        """Show the windows; log the one of 5 min once a minute."""
        window = windows[SHOWN_WINDOW]
        self._shown.send(
            IntelligenceNow(
                windows=tuple(_shown(name, counts) for name, counts in windows.items()),
                unknown=tuple(window.unknown_decisions()[:_MOST_SHOWN]),
                as_of_ms=now_ms,
                counted=self._counted,
                pending=pending,
            )
        )
        now_sec = trio.current_time()
        if self._next_line_sec is None:
            self._next_line_sec = now_sec + _LINE_SEC
        elif now_sec >= self._next_line_sec:
            self._next_line_sec = now_sec + _LINE_SEC
            self._log.info(distribution_line(window))

    def _series(self, reason: str) -> str:
        """Return the label of a reason: `other` for those that come when there are many."""
        if reason not in self._named and len(self._named) >= MOST_REASONS:
            return OTHER
        self._named.add(reason)
        return reason


def _shown(name: str, counts: Counts) -> ResultWindow:
    gates = sorted(counts.gates.items(), key=lambda pair: (-pair[1], pair[0]))
    return ResultWindow(
        name,
        {outcome.value: counts.of(outcome) for outcome in Outcome},
        tuple(counts.top_causes(_MOST_SHOWN)),
        tuple(gates[:_MOST_SHOWN]),
    )
