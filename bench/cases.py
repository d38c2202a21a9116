"""Every case by its name, in the order in which they run: what moves positions and ledgers comes last."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import ledger_cases, plan_cases, snapshot_cases
from bench.contenders import Session
from bench.figures import Figure

CASES: Mapping[str, Callable[[Session], list[Figure]]] = {
    "cold-start": snapshot_cases.cold_start,
    "idle": snapshot_cases.idle,
    "one-at-a-time": plan_cases.one_at_a_time,
    "open-loop": plan_cases.open_loops,
    "throughput-5": plan_cases.throughput_few,
    "throughput-569": plan_cases.throughput_all,
    "fill-to-ledger": ledger_cases.fill_to_ledger,
    "results": ledger_cases.results_throughput,
    "event-to-snapshot": snapshot_cases.event_to_snapshot,
    "memory": snapshot_cases.memory_after,
}
