"""Reads of the executor's keys in the twin."""

from __future__ import annotations

from collections.abc import Sequence

from brain.execution.record import OrderRecord
from brain.identifiers import ClientOrderId, PlanId, Symbol
from store.errors import UnreadableOrderError, WrongTypeError
from store.execution_records import OpenOrders, PermitLook, Switches, UnreadableRecord
from store.execution_values import WRONG_TYPE, decode_record, read_plan_id
from store.keys import ExecutorKeys, Keys
from store.memory.keyspace import Keyspace


def string_at(redis: Keyspace, key: str) -> bytes | None:
    """Return a STRING's bytes, `!` for a key of another type."""
    return redis.text(key) if redis.kind(key) in ("string", "none") else WRONG_TYPE


def switches_at(redis: Keyspace, executor: ExecutorKeys) -> Switches:
    """Return the switches as they are stored."""
    trading_state, kill, global_kill, mode = (string_at(redis, key) for key in executor.switches)
    return Switches(trading_state, kill, global_kill, mode, redis.kind(executor.lockdown) != "none")


def look_at_permits(
    redis: Keyspace, keys: Keys, plan_id: PlanId, symbol: Symbol, permits: Sequence[str]
) -> PermitLook:
    """As `ExecutorStore.look_at_permits`."""
    executor = ExecutorKeys(keys)
    return PermitLook(
        consumer=string_at(redis, keys.permit_consumer(plan_id)),
        permits=tuple(string_at(redis, key) for key in permits),
        block=string_at(redis, executor.block(plan_id)),
        hold=redis.kind(keys.hold(symbol)) != "none",
        switches=switches_at(redis, executor),
    )


def manual_lane_open(redis: Keyspace, keys: Keys) -> bool:
    """As `ExecutorStore.manual_lane_open`."""
    key = ExecutorKeys(keys).manual_lane
    return string_at(redis, key) == b"1" and redis.ttl_ms(key) > 0


def open_orders(redis: Keyspace, keys: Keys) -> OpenOrders:
    """As `ExecutorStore.open_orders`. Raises WrongTypeError for the set of open ones."""
    found = OpenOrders([], [])
    for _, member in redis.sorted_set(ExecutorKeys(keys).open).in_order():
        plan_id = read_plan_id(member)
        try:
            record = order_record(redis, keys, plan_id)
        except UnreadableOrderError as error:
            found.unreadable.append(UnreadableRecord(plan_id, str(error), error.symbol))
            continue
        if record is None:
            found.unreadable.append(UnreadableRecord(plan_id, "its record is gone"))
        elif not record.phase.ended:
            found.records.append(record)
    return found


def order_record(redis: Keyspace, keys: Keys, plan_id: PlanId) -> OrderRecord | None:
    """As `ExecutorStore.order_record`."""
    executor = ExecutorKeys(keys)
    try:
        stored = redis.hash(executor.order(plan_id))
    except WrongTypeError as error:
        raise UnreadableOrderError(f"record of {plan_id}: {error}") from error
    return decode_record(executor, plan_id, stored) if stored else None


def plan_of(redis: Keyspace, keys: Keys, client_order_id: ClientOrderId) -> PlanId | None:
    """As `ExecutorStore.plan_of`. Raises WrongTypeError."""
    stored = redis.text(ExecutorKeys(keys).plan_of(client_order_id))
    return None if stored is None else read_plan_id(stored)
