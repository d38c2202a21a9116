"""Sizes of cases: in full, for growth, or quick."""

from __future__ import annotations

import msgspec


class Sizes(msgspec.Struct, frozen=True):
    """Counts of plans, results, events, permits, intents, drifts, refreshes; seconds of open loops, idling.

    An open loop lasts longer where it would have fewer than `open_loop_plans`. `accounts` side by side, none
    for 0, trade for twice `trade_sec`, and get `account_rounds` plans at one moment.
    """

    one_at_a_time: int
    rates: tuple[int, ...]
    open_loop_sec: float
    open_loop_plans: int
    burst: int
    far_plans: int
    far_burst: int
    results: int
    results_burst: int
    results_waiting: int
    events: int
    events_burst: int
    gate_permits: int
    intents: int
    role_plans: int
    drifts: int
    refreshes: int
    idle_sec: float
    accounts: int
    trade_sec: float
    account_rounds: int
    predecessor_plans: int
    predecessor_burst: int


#: Number of symbols that the exchange lists today, and further numbers for growth.
SYMBOLS = 569
GROWN_TO = (100, 2_000, 5_000)

FULL = Sizes(
    one_at_a_time=3_000,
    rates=(100, 1_000, 3_000),
    open_loop_sec=4.0,
    open_loop_plans=1_000,
    burst=50_000,
    far_plans=100,
    far_burst=10_000,
    results=1_000,
    results_burst=5_000,
    results_waiting=1_000,
    events=1_000,
    events_burst=10_000,
    gate_permits=200,
    intents=460,
    role_plans=3_000,
    drifts=5,
    refreshes=30,
    # Request weight is counted per minute.
    idle_sec=60.0,
    accounts=10,
    trade_sec=24.0,
    account_rounds=100,
    predecessor_plans=5,
    predecessor_burst=20,
)

#: Enough to show growth.
GROWN = msgspec.structs.replace(
    FULL,
    one_at_a_time=1_000,
    open_loop_sec=2.0,
    open_loop_plans=400,
    burst=20_000,
    far_plans=20,
    far_burst=5_000,
    role_plans=1_000,
    drifts=2,
    results=300,
    results_burst=2_000,
    events=300,
    events_burst=5_000,
    refreshes=10,
    idle_sec=16.0,
    accounts=0,
)

QUICK = msgspec.structs.replace(
    FULL,
    one_at_a_time=1_000,
    open_loop_sec=1.0,
    open_loop_plans=100,
    burst=3_000,
    far_plans=20,
    far_burst=2_000,
    results=100,
    results_burst=500,
    events=100,
    events_burst=2_000,
    gate_permits=50,
    intents=230,
    role_plans=1_000,
    drifts=2,
    refreshes=5,
    idle_sec=2.0,
    trade_sec=5.0,
    account_rounds=20,
    predecessor_plans=0,
    predecessor_burst=0,
)
