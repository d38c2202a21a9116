"""Counts of decisions by reason: of the last 5 min, the last hour, and since the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from brain.plans.permit import Decision
from brain.sliding_counts import SlidingCounts
from clock import Clock
from page.content import GateStep

_5_MIN_SEC = 300
_1_H_SEC = 3600


class GateCounts(msgspec.Struct, frozen=True):
    """Decisions of one period, the most frequent reasons first."""

    allow: int
    deny: int
    allow_by_reason: dict[str, int]
    deny_by_reason: dict[str, int]


class GateDistribution:
    """Counts decisions. Made once by the wiring, so that a restarted evaluator goes on counting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._allowed = SlidingCounts(_1_H_SEC)
        self._denied = SlidingCounts(_1_H_SEC)

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Count decisions that were just committed."""
        now_sec = self._clock.now().monotonic_sec
        for (allow, reason), times in Counter((each.allow, each.reason) for each in decisions).items():
            (self._allowed if allow else self._denied).count(reason.value, now_sec, times)

    def last_5_min(self) -> GateCounts:
        """Return the counts of the last 5 min; of the oldest 5 s some may be missing."""
        return self._within(_5_MIN_SEC)

    def last_1_h(self) -> GateCounts:
        """Return the counts of the last hour; of the oldest 5 s some may be missing."""
        return self._within(_1_H_SEC)

    def since_start(self) -> GateCounts:
        """Return the counts of all decisions of this process."""
        return _counts(self._allowed.since_start(), self._denied.since_start())

    def history(self, step_sec: int, steps: int) -> list[GateStep]:
        """Return the last `steps` of `step_sec` (a multiple of 5; an hour in all at most), oldest first."""
        now_sec = self._clock.now().monotonic_sec
        allowed = self._allowed.steps(step_sec, steps, now_sec)
        denied = self._denied.steps(step_sec, steps, now_sec)
        return [GateStep(*both) for both in zip(allowed, denied, strict=True)]

    def line(self) -> str:
        """Return the log line: `P3.3 gate distribution 5m: allow=3 deny=1 reasons=no_position:1,…`."""
        counts = self.last_5_min()
        reasons = sorted((counts.allow_by_reason | counts.deny_by_reason).items(), key=_most_frequent_first)
        shown = ",".join(f"{reason}:{count}" for reason, count in reasons) or "-"
        return f"P3.3 gate distribution 5m: allow={counts.allow} deny={counts.deny} reasons={shown}"

    def _within(self, window_sec: int) -> GateCounts:
        now_sec = self._clock.now().monotonic_sec
        return _counts(self._allowed.within(window_sec, now_sec), self._denied.within(window_sec, now_sec))


def _counts(allowed: Mapping[str, int], denied: Mapping[str, int]) -> GateCounts:
    allow_by_reason, deny_by_reason = (
        dict(sorted(each.items(), key=_most_frequent_first)) for each in (allowed, denied)
    )
    return GateCounts(sum(allowed.values()), sum(denied.values()), allow_by_reason, deny_by_reason)


def _most_frequent_first(counted: tuple[str, int]) -> tuple[int, str]:
    reason, count = counted
    return -count, reason
