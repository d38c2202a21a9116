"""The registry behind `/metrics`. It outlives the metrics actor, so that counters never go back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import Metric
from structlog.typing import FilteringBoundLogger

from channels import Channels, Count, MetricEvent, Observe, SetGauge
from clock import Clock
from monitoring.metrics.catalogue import (
    BRIDGE_CATALOGUE,
    CATALOGUE,
    EXECUTOR_CATALOGUE,
    GOVERNOR_CATALOGUE,
    INTELLIGENCE_CATALOGUE,
    RECONCILE_CATALOGUE,
    REFUSED_EVENTS,
    UNIVERSE_CATALOGUE,
    Declared,
)
from monitoring.metrics.families import (
    ChannelMetrics,
    DurationHistogram,
    LiveGauge,
    LiveTotal,
    SnapshotMetrics,
    SymbolFamily,
)
from monitoring.service_log import build_tag

#: Far above the values of any of these labels: only one taken from outside could reach it.
_MOST_SERIES = 1000
_MOST_REFUSALS_LOGGED = 100

_KIND_OF_EVENT = {Count: "counter", SetGauge: "gauge"}
_INFINITY = float("inf")


class _LibraryFamily:
    """A counter or gauge without a `symbol` label, kept by the library."""

    def __init__(self, declared: Declared, registry: CollectorRegistry) -> None:
        self.declared = declared
        self.series: dict[tuple[str, ...], Counter | Gauge] = {}
        name, meaning, labels = declared.name, declared.meaning, declared.labels
        self._metric: Counter | Gauge
        if declared.kind == "counter":
            self._metric = Counter(name, meaning, labels, registry=registry)
        else:
            self._metric = Gauge(name, meaning, labels, registry=registry)

    def move(self, labels: tuple[str, ...], value: float) -> bool:
        """Apply the event's value. False when there is no room for one more series."""
        series = self.series.get(labels)
        if series is None:
            if len(self.series) >= _MOST_SERIES:
                return False
            series = self.series[labels] = self._metric.labels(*labels) if labels else self._metric
        if isinstance(series, Counter):
            series.inc(value)
        else:
            series.set(value)
        return True

    def value(self) -> float | None:
        """Return the value of the series without labels; None before the first event for it."""
        series = self.series.get(())
        if series is None:
            return None
        (family,) = series.collect()
        return family.samples[0].value


class _WithoutCreated:
    """The registry for `generate_latest`, without the `_created` series of each counter."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class MetricRegistry:
    """The metrics of docs/contract.md: those that events move, and those that are views of live state.

    An event that fits no metric changes nothing but `p33_metric_events_refused_total`, and the log, once.
    """

    def __init__(self, channels: Channels, clock: Clock, log: FilteringBoundLogger) -> None:
        """Raises ValueError when two channels share a name."""
        self._log = log
        self._refused: set[tuple[str, str]] = set()
        self._library = CollectorRegistry()
        catalogue: tuple[Declared, ...] = CATALOGUE
        if channels.universe_channels is not None:
            catalogue += UNIVERSE_CATALOGUE
        if channels.open_executions is not None:
            catalogue += EXECUTOR_CATALOGUE
        if channels.governor is not None:
            catalogue += GOVERNOR_CATALOGUE
        if channels.reconcile is not None:
            catalogue += RECONCILE_CATALOGUE
        if channels.bridge is not None:
            catalogue += BRIDGE_CATALOGUE
        if channels.intelligence is not None:
            catalogue += INTELLIGENCE_CATALOGUE
        self._by_symbol = {each.name: SymbolFamily(each) for each in catalogue if "symbol" in each.labels}
        self._plain = {
            each.name: _LibraryFamily(each, self._library)
            for each in catalogue
            if each.name not in self._by_symbol and each.kind != "histogram"
        }
        self._durations = {
            each.name: DurationHistogram(each) for each in catalogue if each.kind == "histogram"
        }
        for durations in self._durations.values():
            self._library.register(durations)
        build = Gauge("p33_build_info", "1, labelled with the build", ["tag"], registry=self._library)
        build.labels(build_tag()).set(1)
        self._library.register(ChannelMetrics(channels.all()))
        self._expositions = [family.exposition for family in self._by_symbol.values()]
        self._expositions.append(SnapshotMetrics(clock, channels.book).exposition)

    def show_roles(self, modes: Mapping[str, str]) -> None:
        """Expose the roles that are switched on with their modes. Raises ValueError the second time."""
        if not modes:
            return
        meaning = "1, labelled with a role that is switched on and its mode"
        roles = Gauge("p33_role", meaning, ["role", "mode"], registry=self._library)
        for role, mode in modes.items():
            roles.labels(role, mode).set(1)

    def show(self, gauge: LiveGauge) -> None:
        """Expose a view of live state. Raises ValueError for a name that is taken."""
        Gauge(gauge.name, gauge.meaning, registry=self._library).set_function(gauge.read)

    def show_total(self, total: LiveTotal) -> None:
        """Expose a counter that is kept elsewhere. Raises ValueError for a name that is taken."""
        self._library.register(total)

    def apply(self, event: MetricEvent) -> None:
        """Apply the event to its metric. Never raises."""
        why = self._move(event)
        if why is not None:
            self._refuse(event.name, why)

    def value(self, name: str) -> float | None:
        """Return the value of a gauge without labels; None before the first event for it."""
        return self._plain[name].value()

    def symbol_values(self, name: str) -> dict[str, float]:
        """Return the values of a metric whose only label is `symbol`."""
        return self._by_symbol[name].by_symbol()

    async def exposition(self) -> bytes:
        """Return the text format 0.0.4. Other tasks run between its parts of about 1 ms."""
        parts = [generate_latest(_WithoutCreated(self._library))]
        for exposition in self._expositions:
            await trio.lowlevel.checkpoint()
            parts.append(exposition().encode())
        return b"".join(parts)

    def _move(self, event: MetricEvent) -> str | None:
        """Apply the event; return the reason for refusing it, None if it was applied."""
        if isinstance(event, Observe):
            durations = self._durations.get(event.name)
            if durations is None:
                return self._no_such(event)
            # A sum that once was no number would be none for good; and so with a counter, below.
            if not 0 <= event.seconds < _INFINITY or event.times < 0:
                return "wrong_value"
            durations.observe(event.seconds, event.times)
            return None
        family = self._by_symbol.get(event.name) or self._plain.get(event.name)
        if family is None or _KIND_OF_EVENT[type(event)] != family.declared.kind:
            return self._no_such(event)
        if len(event.labels) != len(family.declared.labels):
            return "wrong_labels"
        if isinstance(event, SetGauge):
            value = event.value
        else:
            value = event.amount
            if not 0 <= value < _INFINITY:
                return "wrong_value"
        return None if family.move(event.labels, value) else "too_many_series"

    def _no_such(self, event: MetricEvent) -> str:
        known = event.name in self._by_symbol or event.name in self._plain or event.name in self._durations
        return "wrong_kind" if known else "unknown_metric"

    def _refuse(self, name: str, why: str) -> None:
        self._move(Count(REFUSED_EVENTS, (why,)))
        if (name, why) not in self._refused and len(self._refused) < _MOST_REFUSALS_LOGGED:
            self._refused.add((name, why))
            self._log.warning("Metric event refused", metric=name, why=why)
