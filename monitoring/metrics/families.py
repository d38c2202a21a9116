"""Metric families read at the scrape: live state, series for each symbol, duration histograms."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from brain.durability import Durability
from channels import Channel, Channels, Conflating, DropOldest, SnapshotBook
from clock import Clock
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from monitoring.metrics.catalogue import Declared
from monitoring.unreadable_symbols import UnreadableSymbols


def dropped(channel: Channel) -> int | None:
    """Return the number of messages lost to the channel's overflow rule; None where the rule loses none."""
    if isinstance(channel, DropOldest | Conflating) and channel.capacity is not None:
        return channel.dropped
    return None


class ChannelMetrics:
    """A prometheus collector over channels."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        """Raises ValueError when two channels share a name."""
        names = [channel.name for channel in channels]
        if len(set(names)) != len(names):
            raise ValueError(f"names of channels repeat: {sorted(names)}")
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as of now."""
        depth = GaugeMetricFamily("p33_channel_depth", "Messages waiting in a channel", labels=["channel"])
        lost = CounterMetricFamily(
            "p33_channel_dropped_total", "Messages a full channel dropped", labels=["channel"]
        )
        for channel in self._channels:
            depth.add_metric([channel.name], channel.depth)
            if (count := dropped(channel)) is not None:
                lost.add_metric([channel.name], count)
        yield depth
        yield lost


class LiveGauge(NamedTuple):
    """A gauge without labels, read at each scrape."""

    name: str
    meaning: str
    read: Callable[[], float]


def service_gauges(
    channels: Channels,
    clocks: Clocks,
    budget: WeightBudget,
    unreadable: UnreadableSymbols,
    *,
    ready: Callable[[], bool],
    unknown_executions: Callable[[], float],
) -> tuple[LiveGauge, ...]:
    """Return the gauges for alert rules."""
    started, durability, lease = clocks.now(), channels.durability, channels.lease

    def of_redis(read: Callable[[Durability], float]) -> Callable[[], float]:
        return lambda: math.nan if durability.value is None else float(read(durability.value))

    return (
        LiveGauge(
            "p33_start_time_seconds", "When the service started (epoch)", lambda: started.wall_ms / 1000
        ),
        LiveGauge("p33_ready", "1 while plans can be decided", lambda: float(ready())),
        LiveGauge(
            "p33_lease_held",
            "1 while this instance is the one that writes",
            lambda: float(lease.value is not None and lease.value.fence is not None),
        ),
        LiveGauge(
            "p33_exchange_ban_seconds",
            "How long the exchange still allows no requests",
            lambda: budget.banned_for_sec,
        ),
        LiveGauge(
            "p33_unreadable_symbols",
            "Symbols of which the exchange sent what cannot be read",
            lambda: unreadable.count,
        ),
        LiveGauge(
            "p33_redis_evicted_keys",
            "Keys that Redis has evicted since it was started (NaN: no answer)",
            of_redis(lambda redis: redis.evicted_keys),
        ),
        LiveGauge(
            "p33_redis_may_evict",
            "1 while Redis's maxmemory-policy lets it evict keys (NaN: no answer)",
            of_redis(lambda redis: redis.may_evict),
        ),
        LiveGauge(
            "p33_redis_append_only",
            "1 while Redis keeps an append-only file (NaN: no answer)",
            of_redis(lambda redis: redis.append_only),
        ),
        LiveGauge(
            "p33_redis_clock_offset_seconds",
            "How far Redis's clock is ahead of this host's (negative: behind); NaN until known",
            lambda: math.nan if (offset := clocks.redis_offset()) is None else offset.middle_sec,
        ),
        LiveGauge(
            "p33_stream_ids_ahead_seconds",
            "How far the newest id of a stream is ahead of Redis's clock, where that is more than 1 s",
            lambda: max(clocks.ids_ahead_sec().values(), default=0.0),
        ),
        LiveGauge(
            "p33_unknown_executions", "Plans whose order may or may not have been filled", unknown_executions
        ),
    )


class LiveTotal(NamedTuple):
    """A counter without labels that is read at each scrape. A prometheus collector."""

    name: str
    meaning: str
    read: Callable[[], float]

    def collect(self) -> Iterator[Metric]:
        """Yield the family, as of now."""
        yield CounterMetricFamily(self.name, self.meaning, value=self.read())

    def describe(self) -> Iterator[Metric]:
        """Yield the family's name, so that a second one of that name is refused."""
        yield CounterMetricFamily(self.name, self.meaning)


def lines_dropped(read: Callable[[], int]) -> LiveTotal:
    """Return the counter of log lines that were never written."""
    return LiveTotal("p33_log_lines_dropped_total", "Log lines dropped, as nothing took them in time", read)


class SnapshotMetrics:
    """The three gauges over the book of snapshots, written as `symbol_metrics` does."""

    _AGE = Declared("gauge", "p33_snapshot_age_sec", "Age of a symbol's snapshot (s)", ("symbol",))
    _SINCE = Declared(
        "gauge", "p33_last_snapshot_ts", "When a snapshot was last known to be true (epoch s)", ("symbol",)
    )
    _AMOUNT = Declared("gauge", "p33_position_amt", "Signed position amount (contracts)", ("symbol",))

    def __init__(self, clock: Clock, book: SnapshotBook) -> None:
        self._clock = clock
        self._book = book
        self._labels: dict[str, str] = {}

    def exposition(self) -> str:
        """Return the families as text, all as of one moment."""
        now = self._clock.now()
        ages, sinces, amounts = ([preamble(each)] for each in (self._AGE, self._SINCE, self._AMOUNT))
        for symbol in self._book.symbols():
            snapshot = self._book.get(symbol)
            if snapshot is None:
                continue
            label = self._labels.get(symbol)
            if label is None:
                label = self._labels[symbol] = label_text(("symbol",), (symbol,))
            ages.append(f"{self._AGE.name}{label} {snapshot.verified_at.age_sec(now)!r}\n")
            sinces.append(f"{self._SINCE.name}{label} {snapshot.verified_at.wall_ms / 1000!r}\n")
            amounts.append(f"{self._AMOUNT.name}{label} {float(snapshot.amount)!r}\n")
        return "".join((*ages, *sinces, *amounts))


#: Far above symbols x reasons: only labels taken from outside could reach it.
_MOST_SERIES = 20_000


class _Series:
    """One line: the text before the value, and the value."""

    __slots__ = ("head", "value")

    def __init__(self, head: str) -> None:
        self.head = head
        self.value = 0.0


class SymbolFamily:
    """A counter or gauge with a `symbol` label, moved by events."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._adds = declared.kind == "counter"
        self._series: dict[tuple[str, ...], _Series] = {}

    def move(self, labels: tuple[str, ...], value: float) -> bool:
        """Add to the counter, or set the gauge. False when there is no room for one more series."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= _MOST_SERIES:
                return False
            head = f"{self.declared.name}{label_text(self.declared.labels, labels)} "
            series = self._series[labels] = _Series(head)
        series.value = series.value + value if self._adds else value
        return True

    def by_symbol(self) -> dict[str, float]:
        """Return the value of each series by its symbol, for a family without other labels."""
        return {labels[0]: series.value for labels, series in self._series.items()}

    def exposition(self) -> str:
        """Return the family as text."""
        lines = [f"{series.head}{series.value!r}\n" for series in self._series.values()]
        return preamble(self.declared) + "".join(lines)


def preamble(declared: Declared) -> str:
    """Return the lines before a family's series."""
    return f"# HELP {declared.name} {declared.meaning}\n# TYPE {declared.name} {declared.kind}\n"


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """Return labels as they stand between a name and its value."""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


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
        """Yield the family, as of now."""
        names = map(floatToGoString, self._bounds)
        buckets = [(name, float(count)) for name, count in zip(names, accumulate(self._counts), strict=True)]
        family = HistogramMetricFamily(self.declared.name, self.declared.meaning)
        family.add_metric([], buckets, self._sum)
        yield family
