"""How much each case does: in full, or as a short look."""

from __future__ import annotations

import msgspec


class Sizes(msgspec.Struct, frozen=True):
    """Counts of plans, results and events; seconds of open loops and of idling."""

    one_at_a_time: int
    rates: tuple[int, ...]
    open_loop_sec: float
    burst: int
    results: int
    results_burst: int
    events: int
    idle_sec: float
    predecessor_plans: int
    predecessor_burst: int


FULL = Sizes(
    one_at_a_time=3_000,
    rates=(100, 1_000, 3_000),
    open_loop_sec=4.0,
    burst=50_000,
    results=500,
    results_burst=5_000,
    events=200,
    idle_sec=10.0,
    predecessor_plans=3,
    predecessor_burst=20,
)

QUICK = Sizes(
    one_at_a_time=500,
    rates=(100, 1_000, 3_000),
    open_loop_sec=0.7,
    burst=3_000,
    results=100,
    results_burst=500,
    events=50,
    idle_sec=2.0,
    predecessor_plans=0,
    predecessor_burst=0,
)
