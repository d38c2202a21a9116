"""A histogram that takes many equal observations at once: decisions come in batches."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from actors.metric_catalogue import Declared


class DurationHistogram:
    """A histogram without labels, and a prometheus collector over itself."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._bounds: Sequence[float] = (*declared.buckets, float("inf"))
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float, times: int) -> None:
        """Count `value` (seconds) `times` times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def collect(self) -> Iterator[Metric]:
        """The family, as of now."""
        names = map(floatToGoString, self._bounds)
        buckets = [(name, float(count)) for name, count in zip(names, accumulate(self._counts), strict=True)]
        family = HistogramMetricFamily(self.declared.name, self.declared.meaning)
        family.add_metric([], buckets, self._sum)
        yield family
