"""Metrics that are views of live state: computed when somebody scrapes, never sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from channels import DropOldest, SnapshotBook
from clock import Clock


class Channel(Protocol):
    """What every channel shows of itself. Names are labels: no two channels share one."""

    @property
    def name(self) -> str:
        """What it is called on `/metrics` and `/status`."""
        ...

    @property
    def depth(self) -> int:
        """Messages waiting, or values kept."""
        ...


def dropped(channel: Channel) -> int | None:
    """Messages lost to the channel's overflow rule; None where the rule loses none."""
    return channel.dropped if isinstance(channel, DropOldest) else None


class LiveMetrics:
    """A prometheus collector over the book of snapshots and the channels."""

    def __init__(self, *, clock: Clock, book: SnapshotBook, channels: Sequence[Channel]) -> None:
        """Raises ValueError when two channels share a name."""
        names = [channel.name for channel in channels]
        if len(set(names)) != len(names):
            raise ValueError(f"names of channels repeat: {sorted(names)}")
        self._clock = clock
        self._book = book
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        """The families; those of snapshots all as of one moment."""
        yield from self._snapshots()
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

    def _snapshots(self) -> tuple[Metric, ...]:
        now = self._clock.now()
        label = ["symbol"]
        age = GaugeMetricFamily("p33_snapshot_age_sec", "Age of a symbol's snapshot (s)", labels=label)
        since = GaugeMetricFamily(
            "p33_last_snapshot_ts", "When a snapshot was last known to be true (epoch s)", labels=label
        )
        amount = GaugeMetricFamily("p33_position_amt", "Signed position amount (contracts)", labels=label)
        for symbol in self._book.symbols():
            snapshot = self._book.get(symbol)
            if snapshot is not None:
                age.add_metric([symbol], snapshot.verified_at.age_sec(now))
                since.add_metric([symbol], snapshot.verified_at.wall_ms / 1000)
                amount.add_metric([symbol], float(snapshot.amount))
        return age, since, amount
