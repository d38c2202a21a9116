"""What must hold of the whole chain once it is quiet, counted by streams, keys and the exchange alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from brain.reconciliation.case_life import CaseStatus
from simulator import Order, SimulatedExchange
from tests.integration.chain_load import ChainLoad
from tests.integration.counted_results import counted
from tests.integration.execution_load import without_numbers
from tests.integration.governed_plans import KEYS
from tests.integration.pipeline import PLANS, RESULTS, Pipeline
from tests.integration.played_governor import id_at_exchange, is_last

_SHOWN = 3
#: A symbol that never had a case has no status.
_SETTLED = {CaseStatus.OK, CaseStatus.REPAIRED}
_OPEN_KEYS = ("quantum:executor:open", KEYS.reserved)


class ChainBooks(msgspec.Struct, frozen=True, kw_only=True):
    """Counts that must be 0, each with examples of what is in it; and those of what was done."""

    faults: dict[str, list[str]]
    intents: int
    refused: int
    plans: int
    orders: int
    executed: int
    reasons: dict[str, int]
    errors: dict[str, int]

    def wrong(self) -> list[str]:
        """Return what does not add up, a sentence for each kind."""
        return [
            f"{len(found)} {name}: {', '.join(found[:_SHOWN])}"
            for name, found in self.faults.items()
            if found
        ]


def chain_books(pipeline: Pipeline, exchange: SimulatedExchange, load: ChainLoad) -> ChainBooks:
    """Add everything up; nothing may be under way any more."""
    orders = [order for symbol in exchange.listing.symbols for order in exchange.orders.of(symbol)]
    results = load.executor.results
    last = [rows[-1] for rows in results.values() if rows]
    intents, plans = load.without_an_end()
    faults = {
        "intents without an end": [f"{stream} {entry_id}" for stream, entry_id in intents],
        "intents with two answers": [str(each) for each, times in load.answers.items() if times > 1],
        "answers to no intent": [str(each) for each in load.answers if each not in load.intents],
        "plans without an end": plans,
        "plans of no intent": [plan_id for plan_id in load.plans if plan_id not in load.planned],
        "plans published twice": _twice(load.plans),
        "plans with two ends": [plan for plan, rows in results.items() if sum(map(is_last, rows)) > 1],
        "orders doubled": _twice(Counter(order.client_order_id for order in orders)),
        "orders and results that differ": list(_unlike(orders, load)),
        "ledgers that differ from the exchange": list(_differences(exchange, load)),
        "open cases": list(_open_cases(pipeline)),
        "results counted wrongly": _miscounted(pipeline, load),
        "results in the dead letters": [str(each) for each in pipeline.dead_letters(RESULTS)],
        "dead plans that were executed": list(_dead_and_executed(pipeline, load)),
    }
    return ChainBooks(
        faults=faults,
        intents=len(load.intents),
        refused=sum(times for reason, times in load.reasons.items() if reason != "plan"),
        plans=len(load.plans),
        orders=len(orders),
        executed=sum(row["executed"] == "true" for row in last),
        reasons=dict(load.reasons.most_common()),
        errors=dict(
            Counter(without_numbers(row["error"]) for row in last if row["executed"] == "false").most_common()
        ),
    )


def _twice(counted: Counter[str]) -> list[str]:
    return [name for name, times in counted.items() if times > 1]


def _unlike(orders: Iterable[Order], load: ChainLoad) -> Iterator[str]:
    """Compare each order with its plan's last result, and each fill in a result with an order."""
    by_id: defaultdict[str, list[Order]] = defaultdict(list)
    for order in orders:
        by_id[order.client_order_id].append(order)
    known = {id_at_exchange(plan_id): plan_id for plan_id in load.plans}
    yield from (f"{name} has no plan" for name in by_id.keys() - known.keys())
    for client_id, plan_id in known.items():
        rows, found = load.executor.results.get(plan_id), by_id.get(client_id)
        if not rows:
            continue
        row = rows[-1]
        if not found:
            if row["executed"] == "true":
                yield f"{plan_id} was executed by no order"
        elif not found[0].is_final:
            yield f"{plan_id}: its order has not ended"
        elif row["executed"] != "true" and found[0].executed:
            yield f"{plan_id}: {found[0].executed:f} filled, and the result says {row['error']}"
        elif row["executed"] == "true" and Decimal(row["filled_qty"]) != found[0].executed:
            yield f"{plan_id}: {found[0].executed:f} filled, and the result says {row['filled_qty']}"


def _differences(exchange: SimulatedExchange, load: ChainLoad) -> Iterator[str]:
    for symbol, amount in load.held_amounts().items():
        held = exchange.position(symbol).amount
        if amount != held:
            yield f"{symbol}: {amount:f} in the ledger, {held:f} at the exchange"


def _open_cases(pipeline: Pipeline) -> Iterator[str]:
    redis = pipeline.redis
    for key in redis.scan_iter("quantum:reconcile:state:*", count=1000):
        state = redis.hgetall(key)
        if state.get("status", CaseStatus.OK) not in _SETTLED:
            yield f"{key.rpartition(':')[2]}: {state.get('status')} {state.get('reason')}"
    for key in redis.scan_iter("quantum:reconcile:hold:*", count=1000):
        yield f"{key} = {redis.get(key)}"
    if waiting := redis.zrange(_OPEN_KEYS[0], 0, -1):
        yield from (f"undecided order of {plan_id}" for plan_id in waiting)
    yield from (f"reservation of {plan_id}" for plan_id in redis.hkeys(_OPEN_KEYS[1]))


def _miscounted(pipeline: Pipeline, load: ChainLoad) -> list[str]:
    rows = sum(map(len, load.executor.results.values()))
    found = counted(pipeline).total()
    return [] if rows == found else [f"{found} of {rows}"]


def _dead_and_executed(pipeline: Pipeline, load: ChainLoad) -> Iterator[str]:
    """A plan that three lives in a row have begun is poison, and is refused: it must have no fill."""
    for letter in pipeline.dead_letters(PLANS):
        rows = load.executor.results.get(letter["plan_id"], [])
        if any(row["executed"] == "true" for row in rows):
            yield letter["plan_id"]
