"""The kill score's statistics, computed a second time from the plans in the order of their entries."""

from __future__ import annotations

import math

import msgspec

from store.memory.streams import IdParts, parse_id

#: Actions that close, whatever `reduceOnly` says.
CLOSING = frozenset(
    {
        "FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50", "CLOSE_FULL", "CLOSE_PARTIAL_75",
        "CLOSE_PARTIAL_50",
    }
)  # fmt: skip
UPDATE_SL = "UPDATE_SL"
_TRUE = ("true", "1")
_EPSILON = 1e-6


class Observed(msgspec.Struct):
    """Statistics of a symbol and evaluation type. `entry`: the id of the last entry in them."""

    n: int
    mean: float
    var: float
    ts_ms: int
    entry: IdParts

    def then(self, score: float, ts_ms: int, entry_id: str, alpha: float) -> Observed:
        """Return the statistics with one more observation."""
        mean = alpha * score + (1 - alpha) * self.mean
        off = score - mean
        var = alpha * (off * off) + (1 - alpha) * self.var
        return Observed(self.n + 1, mean, var, ts_ms, max(self.entry, parse_id(entry_id)))

    def deviation(self, score: float) -> float:
        """Return the kill score's z, of an observation that is in the statistics."""
        return (score - self.mean) / (math.sqrt(self.var) + _EPSILON)


def first(score: float, ts_ms: int, entry_id: str) -> Observed:
    """Return the statistics of one observation."""
    return Observed(1, score, 0.0, ts_ms, parse_id(entry_id))


def score_of(fields: dict[str, str]) -> float | None:
    """Return a plan's kill score; None where it has none that counts."""
    try:
        score = float(fields["kill_score"])
    except (KeyError, ValueError):
        return None
    return score if 0 <= score <= 1 else None


def is_unreadable(fields: dict[str, str]) -> bool:
    """Return whether the plan has a kill score that does not count."""
    return bool(fields.get("kill_score")) and score_of(fields) is None


def closes_by_name(fields: dict[str, str]) -> bool:
    """Return whether the plan is a close, or an update of a stop, by what it says alone."""
    action = fields.get("action", "")
    reduces = fields.get("reduceOnly", "").lower() in _TRUE
    repairs = fields.get("decision") == "RECONCILE_CLOSE"
    return reduces or repairs or action in CLOSING or action == UPDATE_SL
