"""Reads of the reconcile engine (`_reconcile.lua`, `differing_ledgers.lua`, `reconcile_views.lua`,
`own_holds.lua`, `booked_growth.lua`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from brain.execution.record import OrderPhase
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.plans.plan import PlanDecision
from store.errors import WrongTypeError
from store.execution_values import WRONG_TYPE, read_plan_id
from store.keys import ExecutorKeys, Keys, ReconcileKeys
from store.memory.execution_reads import string_at
from store.memory.keyspace import Keyspace
from store.memory.reads import field_at
from store.operator_records import Hold
from store.operator_values import read_hold
from store.reconcile_records import (
    BookedGrowth,
    ComparedLedgers,
    ExpectedLedger,
    ReconcileView,
    RecordedOrder,
)
from store.reconcile_values import (
    HELD,
    LEDGER_FIELDS,
    LOST,
    NOTED_FIELDS,
    TOGETHER_MS,
    ViewReply,
    is_own,
    read_view,
    recorded_order,
)
from store.stored_values import UNREADABLE

#: Expiry of an open permit as stored (epoch ms).
_ENDS = re.compile(rb"\|([0-9]{1,15})\Z")
_AMOUNTS = ("last_known_amt", "long_amt", "short_amt")
_NO_SIG = (None, WRONG_TYPE)
_HASH = ("hash", "none")


def hold_at(redis: Keyspace, engine: ReconcileKeys, symbol: Symbol) -> Hold | None:
    """Return a hold; without an owner, where another has written over it."""
    key, sig_key = engine.hold(symbol), engine.hold_sig(symbol)
    value, sig = string_at(redis, key), string_at(redis, sig_key)
    life_ms, its_life_ms = redis.ttl_ms(key), redis.ttl_ms(sig_key)
    together = (life_ms < 0) == (its_life_ms < 0) and abs(life_ms - its_life_ms) <= TOGETHER_MS
    owner = sig if sig not in _NO_SIG and value == HELD and together else None
    return read_hold(value, string_at(redis, engine.hold_reason(symbol)), owner, life_ms)


def has_ended(redis: Keyspace, keys: Keys, hold: Hold) -> bool:
    """Return whether a hold is of an order whose record is final or an orphan's."""
    executor = ExecutorKeys(keys)
    kind, _, client_id = (hold.sig or b"").partition(b":")
    if kind != b"exec" or not client_id:
        return False
    plan_id = string_at(redis, executor.plan_of(client_id.decode(errors="backslashreplace")))
    if plan_id is None:
        return False
    record = executor.order(read_plan_id(plan_id))
    phase = redis.hash(record).get(b"state") if redis.kind(record) == "hash" else None
    return phase in (OrderPhase.FINAL.encode(), OrderPhase.ORPHAN.encode())


def standing_hold(redis: Keyspace, keys: Keys, engine: ReconcileKeys, symbol: Symbol) -> Hold | None:
    """Return the hold that stands on a symbol.

    In the shadow that of another stands before the shadow's own, unless it may be taken over.
    """
    own = hold_at(redis, engine, symbol)
    if not engine.shadow:
        return own
    foreign = hold_at(redis, ReconcileKeys(keys, shadow=False), symbol)
    if foreign is None or (own is not None and has_ended(redis, keys, foreign)):
        return own
    return foreign._replace(sig=None) if is_own(foreign) else foreign


def differing_ledgers(redis: Keyspace, keys: Keys, expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
    """As `ReconcileStore.differing_ledgers`."""
    return ComparedLedgers(
        [each.symbol for each in expected if _differs(redis, keys.ledger(each.symbol), each)],
        [each.symbol for each in expected if _in_flight(redis, keys, each.symbol)],
    )


def _in_flight(redis: Keyspace, keys: Keys, symbol: Symbol) -> bool:
    sig = string_at(redis, ReconcileKeys(keys, shadow=False).hold_sig(symbol))
    if sig is not None and sig.startswith(b"exec:"):
        return True
    open_key = keys.open_permits(symbol)
    if redis.kind(open_key) != "hash":
        return redis.kind(open_key) != "none"
    now_ms = redis.now_ms()
    return any(name != b"v" and not _ended(text, now_ms) for name, text in redis.hash(open_key).items())


def _ended(permit: bytes, now_ms: int) -> bool:
    ends = _ENDS.search(permit)
    return ends is not None and int(ends[1]) <= now_ms


def _differs(redis: Keyspace, key: str, expected: ExpectedLedger) -> bool:
    stored = _fields(redis, key, _AMOUNTS)
    if stored is None:
        return True
    if stored[0] is None:
        stored = [None] * len(_AMOUNTS)
    return any(
        text and (b"0" if found is None else found) != text.encode()
        for found, text in zip(stored, expected[1:], strict=True)
    )


def reconcile_views(
    redis: Keyspace, keys: Keys, engine: ReconcileKeys, symbols: Sequence[Symbol]
) -> dict[Symbol, ReconcileView]:
    """As `ReconcileStore.reconcile_views`."""
    return {symbol: _view(redis, keys, engine, symbol) for symbol in symbols}


def _view(redis: Keyspace, keys: Keys, engine: ReconcileKeys, symbol: Symbol) -> ReconcileView:
    ledger, permits, state = keys.ledger(symbol), keys.open_permits(symbol), engine.state(symbol)
    problem: bytes | None = None
    for read, key in (
        (redis.hash, ledger),
        (redis.hash, keys.order_memory(symbol)),
        (redis.sorted_set, keys.order_times(symbol)),
        (redis.hash, permits),
        (redis.hash, state),
    ):
        try:
            read(key)
        except WrongTypeError as error:
            problem = problem or str(error).encode()
    return read_view(
        symbol,
        ViewReply(
            problem,
            _fields(redis, ledger, LEDGER_FIELDS),
            dict(redis.hash(permits)) if redis.kind(permits) in _HASH else None,
            _fields(redis, state, NOTED_FIELDS),
            standing_hold(redis, keys, engine, symbol),
        ),
    )


def _fields(redis: Keyspace, key: str, names: Sequence[str]) -> list[bytes | None] | None:
    """Return fields of a hash; None for a key of another type."""
    if redis.kind(key) not in _HASH:
        return None
    stored = redis.hash(key)
    return [stored.get(name.encode()) for name in names]


def own_holds(redis: Keyspace, keys: Keys, engine: ReconcileKeys, symbols: Sequence[Symbol]) -> list[Symbol]:
    """As `ReconcileStore.own_holds`."""
    return [symbol for symbol in symbols if is_own(standing_hold(redis, keys, engine, symbol))]


def booked_growth(
    redis: Keyspace,
    keys: Keys,
    engine: ReconcileKeys,
    symbol: Symbol,
    order_ids: Sequence[OrderId],
    client_order_ids: Sequence[ClientOrderId],
) -> BookedGrowth:
    """As `ReconcileStore.booked_growth`."""
    memories = {order: field_at(redis, keys.order_memory(symbol), order) for order in order_ids}
    records = {client_id: _record_of(redis, keys, engine, client_id) for client_id in client_order_ids}
    return BookedGrowth(
        {order: memory for order, memory in memories.items() if memory is not None},
        {client_id: record for client_id, record in records.items() if record is not None},
    )


def _record_of(
    redis: Keyspace, keys: Keys, engine: ReconcileKeys, client_id: ClientOrderId
) -> RecordedOrder | None:
    executor, unreadable = ExecutorKeys(keys), RecordedOrder(UNREADABLE, UNREADABLE)
    names = executor.plan_of(client_id)
    if redis.kind(names) not in ("string", "none"):
        return unreadable
    plan_id = redis.text(names)
    record = "" if plan_id is None else executor.order(read_plan_id(plan_id))
    if not record or redis.kind(record) == "none":
        is_proposed = redis.kind(engine.close_client(client_id)) != "none"
        return RecordedOrder(LOST, PlanDecision.RECONCILE_CLOSE.value) if is_proposed else None
    found = _fields(redis, record, ("state", "decision"))
    return unreadable if found is None else recorded_order(*found)
