"""The registry behind `/metrics`. It outlives the metrics actor, so that counters never go back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from structlog.typing import FilteringBoundLogger

from actors.live_metrics import Channel, LiveMetrics
from actors.metric_catalogue import CATALOGUE, Declared
from channels import MetricEvent, SnapshotBook
from clock import Clock

#: Far above symbols x reasons; only a sender that takes labels from outside could get there.
_MOST_SERIES = 20_000

_Instrument = Counter | Gauge | Histogram


class _Held:
    """One metric, with the series it has so far. A series is found by its labels without a lock."""

    def __init__(self, declared: Declared, registry: CollectorRegistry) -> None:
        self.declared = declared
        self.series: dict[tuple[str, ...], _Instrument] = {}
        name, meaning, labels = declared.name, declared.meaning, declared.labels
        self.instrument: _Instrument
        if declared.kind == "counter":
            self.instrument = Counter(name, meaning, labels, registry=registry)
        elif declared.kind == "gauge":
            self.instrument = Gauge(name, meaning, labels, registry=registry)
        else:
            self.instrument = Histogram(name, meaning, labels, registry=registry, buckets=declared.buckets)


class _Collector(Protocol):
    def collect(self) -> Iterator[Metric]: ...


class _OneFamily:
    """What `generate_latest` takes for a registry: a single family, without its `_created` series."""

    def __init__(self, family: Metric) -> None:
        # A second series for each counter, for a purpose that restarts of a process of its own do not have.
        family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


class MetricRegistry:
    """The contract's metrics: those that events move, and those that are views of live state.

    An event that fits no metric changes nothing but `p33_metric_events_refused_total`, and the log, once.
    """

    def __init__(
        self,
        *,
        build_tag: str,
        clock: Clock,
        book: SnapshotBook,
        channels: Sequence[Channel],
        logger: FilteringBoundLogger,
    ) -> None:
        """`channels` are shown with depth and losses; raises ValueError when two share a name."""
        self._logger = logger
        self._refused: set[tuple[str, str]] = set()
        self._registry = CollectorRegistry()
        self._held = {declared.name: _Held(declared, self._registry) for declared in CATALOGUE}
        Gauge("p33_build_info", "1, labelled with the build", ["tag"], registry=self._registry).labels(
            build_tag
        ).set(1)
        self._registry.register(LiveMetrics(clock=clock, book=book, channels=channels))

    def apply(self, event: MetricEvent) -> None:
        """Let the event move its metric. Never raises."""
        why = self._moved(event)
        if why is not None:
            self._refuse(event, why)

    def value(self, name: str) -> float | None:
        """The value of a gauge or counter without labels; None before the first event for it."""
        instrument = self._held[name].series.get(())
        return None if instrument is None else instrument._value.get()

    def totals_by(self, name: str, label: str) -> dict[str, float]:
        """The counts of a counter, summed over all labels but `label`; the largest first."""
        held = self._held[name]
        position = held.declared.labels.index(label)
        totals: dict[str, float] = {}
        for labels, instrument in held.series.items():
            totals[labels[position]] = totals.get(labels[position], 0) + instrument._value.get()
        return dict(sorted(totals.items(), key=lambda total: (-total[1], total[0])))

    async def exposition(self) -> bytes:
        """The text format 0.0.4; other tasks run between the families, for there may be many series."""
        parts = []
        for family in self._registry.collect():
            parts.append(generate_latest(_OneFamily(family)))
            await trio.lowlevel.checkpoint()
        return b"".join(parts)
