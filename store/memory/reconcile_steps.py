"""Steps of the reconcile engine (`note_agreements.lua`, `change_case.lua`, `reconcile_ledger.lua`,
`propose_close.lua`)."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import FencingToken, Symbol
from store.keys import Keys, ReconcileKeys
from store.memory.consumer_group import LONGEST_DEAD
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.order_memory import forget_orders, remember_orders
from store.memory.reconcile_reads import has_ended, standing_hold
from store.reconcile_records import Agreement, CaseChange, CloseProposal, HoldChange, LedgerRepair
from store.reconcile_values import (
    CLOSE_CLIENT_TTL_MS,
    NOTED_FIELDS,
    STATE_TTL_MS,
    agreement_fields,
    fields_of,
    is_own,
)
from store.stored_values import read_text

LONGEST_EVENTS = LONGEST_DEAD


class ReconcileSteps:
    """One script's run."""

    def __init__(self, redis: Keyspace, keys: Keys, engine: ReconcileKeys, fence: FencingToken) -> None:
        """Raise FencedError unless `fence` is the current lease."""
        check_fence(redis, keys, fence)
        self._redis = redis
        self._keys = keys
        self._engine = engine

    def note_agreements(self, agreements: Sequence[Agreement]) -> None:
        """As `ReconcileStore.note_agreements`."""
        for each in agreements:
            if self._redis.kind(self._engine.state(each.symbol)) in ("hash", "none"):
                values = zip(NOTED_FIELDS, agreement_fields(each), strict=False)
                self._write_state(each.symbol, [text for pair in values for text in pair])

    def change_case(self, change: CaseChange) -> bool:
        """As `ReconcileStore.change_case`. Raises WrongTypeError."""
        redis, engine, symbol, hold = self._redis, self._engine, change.symbol, change.hold
        if change.state:
            redis.hash(engine.state(symbol))
        if change.event:
            redis.stream(engine.events)
        if hold is not None and not self._may_change(symbol, hold):
            return False
        self._write_state(symbol, change.state)
        self._append(change.event)
        if hold is not None:
            self._hold(symbol, hold)
        return True

    def _may_change(self, symbol: Symbol, change: HoldChange) -> bool:
        hold = standing_hold(self._redis, self._keys, self._engine, symbol)
        if hold is None:
            return change.before is None
        if change.before is None or hold.sig != change.before.encode():
            return False
        return is_own(hold) or (change.sig != "" and has_ended(self._redis, self._keys, hold))

    def repair_ledger(self, repair: LedgerRepair) -> bool:
        """As `ReconcileStore.repair_ledger`. Raises WrongTypeError."""
        redis, keys, engine, symbol = self._redis, self._keys, self._engine, repair.symbol
        if not self._as_read(repair):
            return False
        if repair.orders and not engine.shadow:
            remember_orders(redis, keys, symbol, repair.orders, redis.now_ms())
            forget_orders(redis, keys, symbol, redis.now_ms())
        if repair.ledger_fields and not engine.shadow:
            redis.hset(keys.ledger(symbol), repair.ledger_fields)
            redis.expire(keys.ledger(symbol), repair.ledger_ttl_ms)
        self._write_state(symbol, repair.state)
        for event in repair.events:
            self._append(event)
        self._hold(symbol, repair.hold)
        return True

    def _as_read(self, repair: LedgerRepair) -> bool:
        """Return True if the stored state is the one that was read. Raises WrongTypeError first."""
        redis, keys, symbol = self._redis, self._keys, repair.symbol
        ledger, orders = redis.hash(keys.ledger(symbol)), redis.hash(keys.order_memory(symbol))
        redis.sorted_set(keys.order_times(symbol))
        redis.hash(self._engine.state(symbol))
        redis.stream(self._engine.events)
        fields = tuple(read_text(ledger.get(name.encode())) for name in repair.before.__struct_fields__)
        return (
            self._holds(symbol, repair.hold.before or "")
            and fields == fields_of(repair.before)
            and read_text(ledger.get(b"version")) == repair.before_version
            and all(read_text(orders.get(order.order_id.encode())) == order.before for order in repair.orders)
        )

    def propose_close(self, proposal: CloseProposal) -> bool:
        """As `ReconcileStore.propose_close`. Raises WrongTypeError."""
        redis, engine, symbol = self._redis, self._engine, proposal.symbol
        for stream in (engine.events, *(() if engine.shadow else (proposal.stream,))):
            redis.stream(stream)
        mark, out = engine.close_cooldown(symbol, proposal.sig, proposal.bucket), engine.close_out(symbol)
        marked = redis.kind(mark) != "none" or redis.kind(out) != "none"
        if marked or not self._holds(symbol, proposal.sig):
            return False
        redis.set(mark, "1", ttl_ms=proposal.cooldown_sec * 1000)
        client_key = engine.close_client(proposal.client_order_id)
        redis.set(client_key, proposal.plan_id, ttl_ms=CLOSE_CLIENT_TTL_MS)
        redis.set(out, proposal.plan_id, ttl_ms=proposal.cooldown_sec * 1000)
        for key in (engine.hold_sig(symbol), engine.hold_reason(symbol), engine.hold(symbol)):
            redis.expire(key, proposal.hold_ttl_ms)
        self._append(proposal.event)
        if not engine.shadow:
            redis.xadd(proposal.stream, paired(proposal.plan))
        return True

    def _holds(self, symbol: Symbol, sig: str) -> bool:
        hold = standing_hold(self._redis, self._keys, self._engine, symbol)
        return hold is not None and is_own(hold) and hold.sig == sig.encode()

    def _write_state(self, symbol: Symbol, fields: Sequence[str]) -> None:
        if fields:
            self._redis.hset(self._engine.state(symbol), fields)
            self._redis.expire(self._engine.state(symbol), STATE_TTL_MS)

    def _append(self, event: Sequence[str]) -> None:
        if event:
            self._redis.xadd(self._engine.events, paired(event), max_len=LONGEST_EVENTS)

    def _hold(self, symbol: Symbol, hold: HoldChange) -> None:
        """Set the hold, or lift it where it has no owner afterwards."""
        redis, engine = self._redis, self._engine
        keys = (engine.hold_sig(symbol), engine.hold_reason(symbol), engine.hold(symbol))
        for key, text in zip(keys, (hold.sig, hold.reason, "1"), strict=True):
            if hold.sig:
                redis.set(key, text, ttl_ms=hold.ttl_ms)
            else:
                redis.delete(key)
