"""Counts the results of all executors by decision, reason and gate (P3.5)."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from actors.decision_intelligence.reports import IntelligenceReports
from actors.decision_intelligence.windows import ResultWindows
from actors.one_player import OnePlayer
from actors.stream_consumer import MOST_FAILURES, Batch, FailureCounter, Session, StreamConsumer
from brain.decisions.dead_letter import dead_letter
from brain.intelligence.outcome import TRIMMED, ResultOutcome, read_outcome
from brain.intelligence.windows import minute_of
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.intelligence_protocol import IntelligenceStore
from store.intelligence_records import CountedResult
from store.records import Entry


class DecisionIntelligence(StreamConsumer):
    """Counts each result once, in the minute of its id, in the step that acknowledges it.

    A result that was trimmed before it was read is counted as `UNKNOWN:trimmed`. One whose handling fails
    three times in a process becomes a dead letter, and is not counted.
    """

    def __init__(
        self,
        store: IntelligenceStore,
        lease: LatestValue[Lease],
        failures: FailureCounter,
        windows: ResultWindows,
        reports: IntelligenceReports,
        *,
        by_symbol: bool,
        clocks: Clocks,
        one_player: OnePlayer,
        log: FilteringBoundLogger,
    ) -> None:
        """`failures` and `reports` outlive the actor. `by_symbol`: count reasons by symbol, too."""
        super().__init__(
            store.counted_results, store, lease, failures, clocks=clocks, log=log, one_player=one_player
        )
        self._store = store
        self._windows = windows
        self._reports = reports
        self._by_symbol = by_symbol
        self._time = clocks

    async def begin(self, _session: Session) -> None:
        """Read all buckets again."""
        self._windows.forget()

    async def sweep(self, session: Session) -> None:
        """Rebuild the windows."""
        await self._windows.rebuild_when_due(session.fence, session.heartbeat)

    async def handle(self, batch: Batch) -> None:
        """Count the batch in one step."""
        results: list[tuple[Entry, ResultOutcome]] = []
        for entry in batch.entries:
            # Deliveries from before this process are no failures: each session delivers what is pending.
            if self.failures.of(entry.id) >= MOST_FAILURES:
                letter = dead_letter(entry.fields or {}, entry_id=entry.id, error="evaluation_failed")
                await self.group.dead_letter(batch.fence, entry.id, letter)
                self._reports.failed(entry.id)
                self.failures.done(entry.id)
                continue
            with self.failures.attributed_to((entry.id,)):
                results.append((entry, TRIMMED if entry.fields is None else read_outcome(entry.fields)))
        if not results:
            return
        commits = [self._result(entry, outcome) for entry, outcome in results]
        with self.failures.attributed_to([entry.id for entry, _ in results]):
            counted = await self._store.count_results(batch.fence, commits)
        self._windows.changed({each.minute for each in commits})
        counted_now = [each for each, new in zip(results, counted, strict=True) if new]
        self._reports.counted(counted_now, self._time.redis_now_ms())
        for entry, _ in results:
            self.failures.done(entry.id)

    def _result(self, entry: Entry, outcome: ResultOutcome) -> CountedResult:
        return CountedResult(
            entry.id,
            minute_of(entry.id_ms),
            outcome.decision,
            outcome.reason,
            outcome.gate or "",
            (outcome.symbol or "") if self._by_symbol else "",
        )
