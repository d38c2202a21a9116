"""Gauges of the universe publisher, read at the scrape. NaN where this instance publishes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

from channels import UniverseState
from monitoring.metrics.families import LiveGauge


def universe_gauges(
    state: Callable[[], UniverseState | None], age_sec: Callable[[UniverseState], float]
) -> tuple[LiveGauge, ...]:
    """Return the gauges over what stands published; `age_sec` is the age of the list."""

    def of(read: Callable[[UniverseState], float]) -> Callable[[], float]:
        return lambda: math.nan if (now := state()) is None else read(now)

    return (
        LiveGauge("universe_symbols", "Symbols of the active universe", of(lambda now: now.count)),
        LiveGauge("universe_age_sec", "Age of the active universe (s)", of(age_sec)),
        LiveGauge("universe_stale", "1 while the universe is marked as stale", of(lambda now: now.stale)),
    )
