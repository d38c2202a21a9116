"""What channels show of themselves: read when somebody scrapes, never sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from channels import DropOldest


class Channel(Protocol):
    """Any channel. Names are labels: no two channels share one."""

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


class ChannelMetrics:
    """A prometheus collector over channels. `p33_channel_dropped_total` is an addition to the contract."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        """Raises ValueError when two channels share a name."""
        names = [channel.name for channel in channels]
        if len(set(names)) != len(names):
            raise ValueError(f"names of channels repeat: {sorted(names)}")
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        """The families, as of now."""
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
