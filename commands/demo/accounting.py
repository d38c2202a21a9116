"""The final accounting of the demo: everything that went in has come out, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from commands.demo.exchange_client import ExecutedOrder
from commands.demo.other_services import SymbolInRedis, shown
from commands.demo.record import DEAD_LETTER, Record

#: Client order ids of the chain; others are of the stage.
_OURS = ("p33-", "demo-")
_OPEN_CASES = ("DRIFT", "HOLD", "MANUAL_REQUIRED")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is at the exchange and in Redis in the end.

    `positions`: at the exchange, those that are not flat (signed contracts). `unsettled`: plans with a live
    grant of the Governor. `counted`: results that P3.5 has counted, None without it.
    """

    orders: Sequence[ExecutedOrder]
    positions: Mapping[str, Decimal]
    symbols: Mapping[str, SymbolInRedis]
    unsettled: Sequence[str] = ()
    counted: int | None = None


class Caused(msgspec.Struct, frozen=True):
    """What the stage caused and did not set right.

    `open`: what the exchange has beyond the ledger, by symbol; `unfinished`: symbols that cannot be judged.
    """

    open: Mapping[str, Decimal] = {}
    unfinished: frozenset[str] = frozenset()


def differences(record: Record, found: Found, caused: Caused, *, bridged: bool) -> list[str]:
    """Return what does not add up beside the ledgers, a sentence each.

    `bridged`: the bridge makes the plans.
    """
    rows = [*(_intents(record) if bridged else ()), *_plans(record, bridged=bridged), *_orders(record, found)]
    rows += _cases(found, caused)
    rows += [
        f"the Governor's grant of plan {plan_id} is not settled"
        for plan_id in found.unsettled
        if (plan := record.plans.get(plan_id)) is not None and plan.order
    ]
    if found.counted not in (None, record.results):
        rows.append(f"P3.5 has counted {found.counted} of {record.results} results")
    return rows


def _intents(record: Record) -> Iterator[str]:
    for name, intent in record.intents.items():
        if not intent.outcomes:
            yield f"intent {name} has neither plan nor refusal"
        elif len(intent.outcomes) > 1:
            yield f"intent {name} has {len(intent.outcomes)} outcomes: {', '.join(intent.outcomes)}"
        elif (plan := record.plans.get(intent.plan_id)) is not None and not plan.entries:
            yield f"plan {intent.plan_id} of intent {name} was not published"


def _plans(record: Record, *, bridged: bool) -> Iterator[str]:
    meant = record.direct | {intent.plan_id for intent in record.intents.values()}
    for plan_id, plan in record.plans.items():
        if plan.entries > 1:
            yield f"plan {plan_id} was published {plan.entries} times"
        if plan.decisions > 1:
            yield f"plan {plan_id} was decided {plan.decisions} times"
        if not plan.end:
            yield f"plan {plan_id} has no result"
        if bridged and plan.entries and plan.end != DEAD_LETTER and plan_id not in meant:
            yield f"plan {plan_id} is of no intent"


def _orders(record: Record, found: Found) -> Iterator[str]:
    taken = Counter(
        order.client_order_id for order in found.orders if order.client_order_id.startswith(_OURS)
    )
    executed = Counter(plan.order for plan in record.plans.values() if plan.order)
    for order, count in taken.items():
        if count > 1:
            yield f"order {order} was executed {count} times"
        if not executed[order] and order not in record.former_orders:
            yield f"order {order} is of no plan"
    for order, count in executed.items():
        if count > 1:
            yield f"order {order} is of {count} plans"
        if not taken[order]:
            yield f"a result names order {order}, which there is not"


def ledger_differences(found: Found, caused: Caused) -> Iterator[str]:
    """Yield the symbols whose ledger or snapshot is not what the exchange has, a sentence each.

    The ledger lacks what the stage has left open.
    """
    for symbol, stored in found.symbols.items():
        if symbol in caused.unfinished:
            continue
        amount = found.positions.get(symbol, Decimal(0))
        beyond = caused.open.get(symbol, Decimal(0))
        if stored.ledger is None or stored.ledger + beyond != amount:
            outside = f", {beyond:f} from outside" if beyond else ""
            yield f"{symbol}: exchange {amount:f}, ledger {shown(stored.ledger)}{outside}"
        if stored.snapshot != amount:
            yield f"{symbol}: exchange {amount:f}, snapshot {shown(stored.snapshot)}"


def _cases(found: Found, caused: Caused) -> Iterator[str]:
    for symbol, stored in found.symbols.items():
        is_open = stored.held or stored.case in _OPEN_CASES
        if symbol in caused.unfinished or is_open == (symbol in caused.open):
            continue
        if is_open:
            yield f"{symbol}: a case is open that the stage did not cause: {stored.case or 'held'}"
        else:
            yield f"{symbol}: no case is open for {caused.open[symbol]:f} from outside"
