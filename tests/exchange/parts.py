"""Parts of the tests: clocks set by hand, and a REST client of a simulator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from brain.moment import Moment
from channels import Count, DropOldest, MetricEvent
from clock import HostClock
from exchange.account import KeyPermissions
from exchange.http_client import HttpNetwork
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget
from simulator import RunningSimulator


class HandClock:
    """Both clocks stand still until a test turns them, together or apart."""

    def __init__(self) -> None:
        self.monotonic_sec = 1000.0
        self.wall_ms = 1_700_000_000_000

    def now(self) -> Moment:
        return Moment(self.monotonic_sec, self.wall_ms)

    def turn(self, seconds: float) -> None:
        self.monotonic_sec += seconds
        self.wall_ms += round(seconds * 1000)


class AdvancedClock:
    """This host's clocks, both as far ahead as a test says."""

    def __init__(self) -> None:
        self.ahead_sec = 0.0
        self._host = HostClock()

    def now(self) -> Moment:
        return self._host.now().earlier_by(-self.ahead_sec)


class Parts:
    """A REST client of `simulator` and what it is made of."""

    def __init__(
        self,
        simulator: RunningSimulator,
        *,
        api_secret: str | None = None,
        timeout_sec: float = 0.5,
        share_per_min: int = 1200,
        banned_until_wall_ms: int | None = None,
        network: HttpNetwork | None = None,
        ask_wallet: Callable[[], Awaitable[KeyPermissions]] | None = None,
    ) -> None:
        """`network`: what carries requests instead of sockets."""
        self.clock = AdvancedClock()
        self.bans: list[int] = []
        self.server_time = ServerTime()
        self.metrics: DropOldest[MetricEvent] = DropOldest("metrics", 1000)
        self.budget = WeightBudget(
            self.clock,
            share_per_min,
            exchange_ms=self.server_time.exchange_ms,
            on_ban=self.bans.append,
            banned_until_wall_ms=banned_until_wall_ms,
        )
        self.rest = BinanceRest(
            simulator.addresses.rest_url,
            simulator.exchange.api_key,
            simulator.exchange.api_secret if api_secret is None else api_secret,
            clock=self.clock,
            budget=self.budget,
            server_time=self.server_time,
            metrics=self.metrics,
            rng=Random(1),  # noqa: S311 - jitter
            timeout_sec=timeout_sec,
            network=network,
            ask_wallet=ask_wallet,
        )


class Counts:
    """Return the counters that were sent to a metrics channel, summed."""

    def __init__(self, metrics: DropOldest[MetricEvent]) -> None:
        self._metrics = metrics
        self._sums: dict[tuple[str, tuple[str, ...]], float] = {}

    async def of(self, name: str, *labels: str) -> float:
        if self._metrics.depth:
            for event in await self._metrics.receive_all():
                if isinstance(event, Count):
                    key = (event.name, event.labels)
                    self._sums[key] = self._sums.get(key, 0) + event.amount
        return self._sums.get((name, labels), 0)
