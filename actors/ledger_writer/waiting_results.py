"""Results that stay pending until an operator has set what they need."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from brain.identifiers import EntryId
from channels import LatestValue, WaitingResult


class WaitingResults:
    """Part of the ledger writer: logs each of them once, and publishes all of them."""

    def __init__(self, shown: LatestValue[tuple[WaitingResult, ...]], log: FilteringBoundLogger) -> None:
        self._shown = shown
        self._log = log
        self._waiting: dict[EntryId, WaitingResult] = {}

    def begin(self) -> None:
        """Forget all: booking begins again, and finds those that still wait."""
        self._waiting.clear()
        self._show()

    def wait(self, result: WaitingResult) -> None:
        """Publish a result that cannot be booked now; log it once."""
        if self._waiting.get(result.entry_id) == result:
            return
        self._waiting[result.entry_id] = result
        self._show()
        self._log.warning(
            f"{result.symbol}: A result waits: {result.why}",
            plan_id=result.plan_id,
            entry_id=result.entry_id,
        )

    def done(self, entry_id: EntryId) -> None:
        """Forget an entry that is booked or a dead letter."""
        if self._waiting.pop(entry_id, None) is not None:
            self._show()

    def _show(self) -> None:
        self._shown.send(tuple(self._waiting.values()))
