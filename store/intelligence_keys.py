"""Names of the keys of decision intelligence, under one prefix (`P33_KEY_PREFIX`)."""

from __future__ import annotations

from store.keys import PlanStream


class IntelligenceNames:
    """Key names of decision intelligence (P3.5); docs/contract.md, "Decision intelligence"."""

    def __init__(self, prefix: str) -> None:
        self.base = base = f"{prefix}:p35"
        results = f"{prefix}:stream:apply.result"
        self.results = PlanStream(results, f"{results}.dead", "p35_decision_intel", f"{base}:last_result_id")
        #: ZSET: ids of counted results behind one that is still pending, by the time in them (epoch ms).
        self.counted_ahead = f"{base}:counted_ahead"
        self.status = f"{base}:status"
        #: ZSET: texts of decisions that were not understood, by their number.
        self.unknown = f"{base}:unknown_decision:top:5m"

    def bucket(self, minute: str) -> str:
        """HASH: counts of the results of a minute (`YYYYMMDDHHMM`, UTC, by entry id)."""
        return f"{self.base}:bucket:{minute}"

    def decisions(self, window: str) -> str:
        """HASH: decision → number of results in the window."""
        return f"{self.base}:decision:counts:{window}"

    def reasons(self, window: str) -> str:
        """ZSET: the most frequent reasons of the window by their number."""
        return f"{self.base}:reason:top:{window}"

    def gates(self, window: str) -> str:
        """HASH: `<gate>:<reason>` → number of results in the window that were stopped there."""
        return f"{self.base}:gate:{window}"
