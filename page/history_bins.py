"""Minutes of the history put together in bins, so that any length has a bounded number of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence

import msgspec

from brain.history import Minute
from brain.positions.exposure import Exposure

#: Most bins of a chart.
MOST_BINS = 180
_STEPS = (1, 2, 5, 10)
_MINUTES_AT_A_TIME = 120


class Bin(msgspec.Struct, frozen=True):
    """Some minutes from `begin` (epoch minute) on; `known` of them were observed.

    `p50_ms` is the median of their medians, `exposure` the last; of all else it is the greatest.
    """

    begin: int
    step: int
    known: int
    allowed: int
    denied: Counter[str]
    p50_ms: int | None
    p99_ms: int | None
    oldest_age_sec: float | None
    weight: int | None
    exposure: Exposure | None


def step_of(length: int) -> int:
    """Return the minutes of a bin for so many minutes."""
    return next((step for step in _STEPS if length / step <= MOST_BINS), _STEPS[-1])


def binned(minutes: Sequence[Minute], begin: int, end: int, step: int) -> Generator[None, None, list[Bin]]:
    """Return the bins from `begin` until before `end` (epoch minutes); the last one may be shorter.

    Each yield is a pause, behind 120 minutes or more.
    """
    parts: dict[int, list[Minute]] = {}
    for minute in minutes:
        if begin <= minute.number < end:
            parts.setdefault((minute.number - begin) // step, []).append(minute)
    bins: list[Bin] = []
    looked = 0
    for number, at in enumerate(range(begin, end, step)):
        bins.append(_bin(at, min(step, end - at), parts.get(number, [])))
        looked += step
        if looked >= _MINUTES_AT_A_TIME:
            looked = 0
            yield
    return bins


def _bin(begin: int, step: int, minutes: Sequence[Minute]) -> Bin:
    denied = Counter[str]()
    for minute in minutes:
        denied.update(minute.denied)
    latencies = [minute.latency_ms for minute in minutes if minute.latency_ms is not None]
    medians = sorted(median for median, _, _ in latencies)
    exposures = [minute.exposure for minute in minutes if minute.exposure is not None]
    ages = [minute.oldest_age_sec for minute in minutes if minute.oldest_age_sec is not None]
    return Bin(
        begin=begin,
        step=step,
        known=len(minutes),
        allowed=sum(count for minute in minutes for count in minute.allowed.values()),
        denied=denied,
        p50_ms=medians[len(medians) // 2] if medians else None,
        p99_ms=max((p99 for _, p99, _ in latencies), default=None),
        oldest_age_sec=max(ages, default=None),
        weight=max((minute.weight for minute in minutes), default=None),
        exposure=exposures[-1] if exposures else None,
    )
