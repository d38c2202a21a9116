"""Which symbols to keep warm when each costs a read of its own, and how many the budget can carry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

#: What a read is taken to last before one was measured (milliseconds).
EWMA_START_MS = 100.0
_EWMA_ALPHA = 0.3
_SHORTEST_READ_MS = 1.0


class Candidates(msgspec.Struct, frozen=True):
    """The symbols to keep warm, the most needed first."""

    symbols: tuple[str, ...]


def smoothed(ewma_ms: float, latest_ms: float) -> float:
    """The moving average of read latencies after one more read (milliseconds)."""
    return _EWMA_ALPHA * latest_ms + (1 - _EWMA_ALPHA) * ewma_ms


def top_k(*, target_cycle_sec: float, ewma_latency_ms: float, min_top_k: int) -> int:
    """How many symbols of the universe one target cycle has time for; at least `min_top_k`."""
    return max(min_top_k, math.floor(target_cycle_sec * 1000 / max(ewma_latency_ms, _SHORTEST_READ_MS)))


def rank(quote_volume: Mapping[str, Decimal]) -> list[str]:
    """The symbols by 24 h quote volume, the largest first; equal ones by name."""
    return sorted(quote_volume, key=lambda symbol: (-quote_volume[symbol], symbol))


def newest_first(intent_ms: Mapping[str, int], *, now_ms: int, window_sec: float) -> list[str]:
    """The symbols with an intent within the window, that of the newest first; equal ones by name.

    `intent_ms` gives the time of each symbol's newest intent (epoch milliseconds, Redis's clock as `now_ms`).
    """
    within = [symbol for symbol, at_ms in intent_ms.items() if now_ms - at_ms <= window_sec * 1000]
    return sorted(within, key=lambda symbol: (-intent_ms[symbol], symbol))


def choose_candidates(
    *, open_positions: Iterable[str], intents: Sequence[str], ranked: Sequence[str], k: int, cap: int
) -> Candidates:
    """Open positions by name, then intents as given (newest first), then the first `k` of `ranked`.

    Each once, and at most `cap` in all: what goes beyond it is left out, from the end.
    """
    wanted = tuple(dict.fromkeys((*sorted(set(open_positions)), *intents, *ranked[:k])))
    return Candidates(wanted[:cap])


def budget_cap(
    weight_budget_per_min: int,
    weight_per_read: int,
    stale_threshold_sec: float,
    answer_sec: float = 0.0,
) -> int:
    """How many symbols the budget can read again before their snapshots are stale.

    A snapshot is as old as its interval plus the time its successor takes to be answered (`answer_sec`).
    """
    interval_sec = max(0.0, stale_threshold_sec - answer_sec)
    return math.floor(weight_budget_per_min * interval_sec / (60 * weight_per_read))


def snapshot_line(*, candidates: int, cycle_ms: float, ewma_ms: float) -> str:
    """The line that operators grep for, once a minute."""
    return f"P3.3 snapshot: candidates={candidates}, cycle_ms={cycle_ms:.0f}, ewma_ms={ewma_ms:.0f}"
