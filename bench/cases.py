"""Cases by name, in the order of their run: those that move positions and ledgers come last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench import (
    account_cases,
    chain_cases,
    crash_cases,
    event_cases,
    far_cases,
    gate_cases,
    ledger_cases,
    look_cases,
    plan_cases,
    refresh_cases,
    role_cases,
    snapshot_cases,
)
from bench.contenders import Session
from bench.figures import (
    BRIDGE,
    CHAIN,
    COUNTING,
    DAEMON,
    DESKS,
    EXECUTING,
    FLOOR,
    GOVERNED,
    HAND_WRITTEN,
    PREDECESSOR,
    RECONCILED,
    TOGETHER,
    Figure,
)

_WITHOUT_PREDECESSOR = (FLOOR, BRIDGE, DAEMON)
_WITHOUT_GOVERNOR = (FLOOR, BRIDGE, PREDECESSOR, DAEMON)
_OPEN_LOOPS = (*_WITHOUT_PREDECESSOR, *DESKS, GOVERNED)
#: What nothing happens costs is measured with each role that costs something then.
_IDLE = (*_WITHOUT_GOVERNOR, GOVERNED, RECONCILED)
_WITHOUT_BRIDGE = (FLOOR, DAEMON)
#: Plans cost the same with a reconcile engine: it has no part in them.
_WITHOUT_RECONCILE = (*_WITHOUT_GOVERNOR, GOVERNED)
_PLANS = (*_WITHOUT_RECONCILE, *DESKS)

_PLAN_FLOOR = (
    "floor: one blocking socket, XREADGROUP → SET + XACK, no checks; bridge: the same through trio-asyncio "
    "and redis-py, one crossing a batch; hand-written and faststream: a desk's own consumer, one pipeline of "
    "reads and one MULTI a plan, no record, no reservation, no commit that compares"
)
_RESULT_FLOOR = "floors: XREADGROUP → HSET + XACK, no checks, nothing remembered"
_EVENT_FLOOR = "floor: a blocking WebSocket, one JSON decode, one HSET an event"


class Case(NamedTuple):
    """Case: measure, contenders and floor.

    `instrumented`: it needs the instrumented daemon. `is_far`: all services reach Redis through a relay.
    `is_apart`: it begins with an emptied Redis and a process that has done nothing else.
    """

    run: Callable[[Session], list[Figure]]
    who: tuple[str, ...]
    measures: str
    floor: str
    instrumented: bool = False
    is_far: bool = False
    is_apart: bool = False


CASES: Mapping[str, Case] = {
    "cold-start": Case(
        snapshot_cases.cold_start,
        _WITHOUT_RECONCILE,
        "from the start of the process to the permit of a plan that was waiting, exchange at its latency",
        "the floors' own start",
    ),
    "idle": Case(
        snapshot_cases.idle,
        _IDLE,
        "nothing happens but mark prices and proofs of freshness: CPU, memory, request weight, the age of "
        "the oldest of all snapshots; CPU and commands of Redis, those in scripts included",
        "floors: a blocked read, no snapshots kept; the predecessor keeps those of its candidates",
    ),
    "one-at-a-time": Case(
        plan_cases.one_at_a_time,
        _PLANS,
        "from publishing a plan to hearing of its permit, the next published after that",
        _PLAN_FLOOR,
    ),
    "open-loop": Case(
        plan_cases.open_loops,
        _OPEN_LOOPS,
        "the same at fixed rates, counted from when a plan was due to be published (coordinated omission)",
        _PLAN_FLOOR,
    ),
    "looked-at": Case(
        look_cases.looked_at,
        (DAEMON,),
        "plans at 100 /s, in turns with nobody and with ten people on the pages, each of which loads its own "
        "every two seconds",
        "no floor: the same daemon with nobody",
    ),
    "throughput-5": Case(
        plan_cases.throughput_few,
        _PLANS,
        "plans over five symbols published at once, until all are acknowledged; every answer is checked",
        _PLAN_FLOOR,
    ),
    "throughput-all": Case(
        plan_cases.throughput_all,
        _PLANS,
        "the same over all symbols; the predecessor denies what it does not keep fresh",
        _PLAN_FLOOR,
    ),
    "far": Case(
        far_cases.far_from_redis,
        (BRIDGE, HAND_WRITTEN, TOGETHER, DAEMON),
        "plans one at a time, and published at once, with Redis a round trip of 25, 5, 1 and 0 ms away from "
        "all services; a plan counts from its publishing there to hearing of its permit there, which is two "
        "ways of the four",
        _PLAN_FLOOR,
        is_far=True,
    ),
    "roles": Case(
        role_cases.cost_of_a_plan,
        (DAEMON, GOVERNED, RECONCILED, EXECUTING, COUNTING, CHAIN),
        "processor time of plans published at once and refused, until every role that reads them or their "
        "results has acknowledged all: each role beside P3.3, counting with an executor, and every role",
        "no floor",
    ),
    "drift": Case(
        role_cases.drift_to_repaired,
        (RECONCILED,),
        "from a deleveraging by the exchange to the ledger that contains it, exchange at its latency",
        "no floor",
    ),
    "chain": Case(
        chain_cases.intent_to_order,
        (CHAIN,),
        "30 intents a second with every role on, each counted from when it was due to its order on the "
        "exchange's socket; steps by entry ids, in whole milliseconds",
        "no floor",
    ),
    "gate-wake-up": Case(
        gate_cases.wake_up,
        _WITHOUT_BRIDGE,
        "from writing a permit to the executor's going on with it, consumed; one executor, waiting",
        "floor: GET with client tracking, a push, GET, DEL + SET; no checks",
    ),
    "bulk-refresh": Case(
        refresh_cases.bulk_refresh,
        _WITHOUT_BRIDGE,
        "the bytes of a read of all positions: decode, merge, write; medians",
        "floor: decoded without types, nothing merged, one HSET a symbol in one pipeline",
    ),
    "fill-to-ledger": Case(
        ledger_cases.fill_to_ledger,
        _WITHOUT_PREDECESSOR,
        "from publishing a result to hearing of its ledger, the next published after that",
        _RESULT_FLOOR,
    ),
    "results": Case(
        ledger_cases.results_throughput,
        _WITHOUT_PREDECESSOR,
        "results over all symbols published at once, until all are acknowledged",
        _RESULT_FLOOR,
    ),
    "event-to-snapshot": Case(
        event_cases.event_to_snapshot,
        _WITHOUT_BRIDGE,
        "from an event's leaving for the contender to hearing of the snapshot in Redis, one trade at a time",
        _EVENT_FLOOR,
    ),
    "events": Case(
        event_cases.events_throughput,
        _WITHOUT_BRIDGE,
        "an event for each of up to 500 symbols sent at once, until all are in Redis; again and again",
        _EVENT_FLOOR,
    ),
    "memory": Case(
        snapshot_cases.memory_after,
        _WITHOUT_RECONCILE,
        "memory after all of the above",
        "the floors remember nothing",
    ),
    "accounts": Case(
        account_cases.many_accounts,
        (DAEMON,),
        "ten daemons on one Redis, each with an account, keys and an exchange of its own: at rest, with 20 "
        "plans a second each, spread evenly, and with a plan for each at one moment; PSS: resident memory, "
        "pages of several processes divided by their number",
        "no floor: one daemon alone, before and after",
        is_apart=True,
    ),
    "event-to-view": Case(
        event_cases.event_to_view,
        _WITHOUT_BRIDGE,
        "from an event's leaving for the contender to the moment from which a decision rests on it",
        "floor: a blocking WebSocket, the moment after one JSON decode",
        instrumented=True,
    ),
    "results-of-one-symbol": Case(
        ledger_cases.one_symbol,
        (DAEMON,),
        "results of one symbol: pending when the ledger writer starts again, and published at once",
        "floors: they book whatever comes, whichever symbol",
        instrumented=True,
    ),
    "evaluator-crash": Case(
        crash_cases.evaluator,
        _WITHOUT_PREDECESSOR,
        "the evaluator fails; a plan published at that moment has its permit",
        "floors: killed and started again as a whole",
        instrumented=True,
    ),
    "ledger-writer-crash": Case(
        crash_cases.ledger_writer,
        _WITHOUT_PREDECESSOR,
        "the ledger writer fails; a result published at that moment is booked",
        "floors: killed and started again as a whole",
        instrumented=True,
    ),
}
