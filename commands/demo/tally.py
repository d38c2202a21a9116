"""Counters and measurements of the demo, updated as it runs."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import msgspec

from commands.demo.machine_load import Load
from commands.demo.outcome import Outcome, Verdict, depends_on_time

_KEPT = 50_000
_RECENT = 200
_MOST_LINES = 50


class Spread(msgspec.Struct, frozen=True):
    """Distribution of a measurement; None where nothing was measured."""

    count: int
    median: float | None
    p99: float | None
    maximum: float | None


class Decided(msgspec.Struct, frozen=True):
    """Outcome of one plan, or of an intent without one, for the live view.

    `took_ms`: from its publication to its end.
    """

    at_sec: float
    symbol: str
    scenario: str
    outcome: Outcome
    took_ms: float
    as_expected: bool


class Tally:
    """Counters and measurements. Of each measurement the last 50 000 are kept.

    `load` returns the present load of this machine: what depends on time is no surprise on a busy one.
    """

    def __init__(self, load: Callable[[], Load] = Load) -> None:
        self._load = load
        self.intents = 0
        self.plans = 0
        self.outcomes: Counter[tuple[Verdict, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.orders = 0
        self.booked = 0
        self.repeated_results = 0
        self.unusable_entries = 0
        self.surprises = 0
        self.first_surprises: list[str] = []
        #: Expectations that were missed while the machine was too busy, and the load at those moments.
        self.too_late = 0
        self.first_too_late: list[str] = []
        self.load_when_late = Load()
        self.recent: deque[Decided] = deque(maxlen=_RECENT)
        self.oldest_snapshot_sec: deque[float] = deque(maxlen=_KEPT)
        self.median_snapshot_sec: deque[float] = deque(maxlen=_KEPT)
        self.used_weight = 0

    def decided(
        self, decided: Decided, expected: Outcome, *, kind: str | None, of_intent: bool = False
    ) -> None:
        """Count the end of a plan, or of an intent of which the bridge made none."""
        self.intents += of_intent
        self.plans += decided.outcome.verdict is not Verdict.NO_PLAN
        outcome = decided.outcome
        self.outcomes[outcome.verdict, outcome.reason] += 1
        if kind is not None:
            self.kinds[kind] += 1
        self.recent.append(decided)
        if not decided.as_expected:
            what = f"{decided.symbol}: {decided.scenario}: {outcome}, but {expected} was expected"
            if depends_on_time(expected, outcome):
                self.not_in_time(what)
            else:
                self.surprise(what)

    def surprise(self, what: str) -> None:
        """Count an unexpected event that no load of the machine explains."""
        self.surprises += 1
        if len(self.first_surprises) < _MOST_LINES:
            self.first_surprises.append(what)

    def not_in_time(self, what: str) -> None:
        """Count an event that came too late or not at all: a surprise unless the machine is too busy."""
        load = self._load()
        if not load.is_too_busy:
            self.surprise(what)
            return
        self.too_late += 1
        self.load_when_late = self.load_when_late.worst(load)
        if len(self.first_too_late) < _MOST_LINES:
            self.first_too_late.append(what)

    def total(self, verdict: Verdict) -> int:
        """Count the plans with that verdict."""
        return sum(count for (found, _), count in self.outcomes.items() if found is verdict)

    def by_reason(self, verdict: Verdict) -> list[tuple[str, int]]:
        """Reasons of that verdict with their counts, the most frequent first."""
        return most_frequent(
            {reason: count for (one, reason), count in self.outcomes.items() if one is verdict}
        )


def most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names and counts, the most frequent first."""
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))


def spread(values: Sequence[float]) -> Spread:
    """Return the distribution of `values`; p99 is the smallest value that 99 % of them do not exceed."""
    if not values:
        return Spread(0, None, None, None)
    ordered = sorted(values)
    rank = math.ceil(0.99 * len(ordered)) - 1
    return Spread(len(ordered), median(ordered), ordered[rank], ordered[-1])
