"""Lookup of what executors have left of a plan: steps and record of our own, results, and bookings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from redis.exceptions import ResponseError

from brain.identifiers import PlanId
from commands.clients.redis_reading import Fields, RedisReading
from explanation.entry_texts import texts_of
from explanation.execution import Booked, ExecutionTraces
from explanation.stored_traces import booked_of, concerns, is_held_for, order_ids_of, symbol_executed
from explanation.timeline import Dated
from store.keys import ExecutorKeys


def look_for_execution(
    plan_id: PlanId, symbol: str, published_ms: int | None, redis: RedisReading
) -> ExecutionTraces:
    """Return the traces of a plan's execution; streams are read back to its publication, if that is known.

    `symbol` is the plan's, empty where it is not known. Raises redis.exceptions.RedisError.
    """
    keys = ExecutorKeys(redis.keys)
    wanted = plan_id.encode(errors="surrogateescape")

    def of_plan(fields: Fields) -> bool:
        return fields.get(b"plan_id") == wanted

    steps = entries_of(redis, keys.audit, of_plan, published_ms)
    record = hash_of(redis, keys.order(plan_id))
    results = entries_of(redis, redis.keys.results, of_plan, published_ms)
    symbol = symbol or symbol_executed(record, steps, results)
    client_order_id = record.get("client_order_id")
    orders = order_ids_of(record, results)
    booked = (look_for_booking(redis, symbol, order_id) for order_id in sorted(orders))
    return ExecutionTraces(
        steps=steps,
        results=results,
        record=record,
        block=string_of(redis, keys.block(plan_id)),
        booked=tuple(each for each in booked if each is not None),
        held=is_held_for(record, string_of(redis, keys.hold_sig(symbol))),
        dead_results=entries_of(redis, redis.keys.dead_results, of_plan, published_ms),
        events=_events_of(redis, plan_id, orders, client_order_id, published_ms),
    )


def _events_of(
    redis: RedisReading,
    plan_id: PlanId,
    order_ids: Collection[str],
    client_order_id: str | None,
    since_ms: int | None,
) -> tuple[Dated, ...]:
    """Return the events of reconciling that name the plan or one of its orders."""
    wanted = plan_id.encode(errors="surrogateescape")
    # Looked for in the bytes first: most events name other orders.
    texts = {each.encode() for each in (*order_ids, client_order_id) if each}

    def names_it(fields: Fields) -> bool:
        if fields.get(b"plan_id") == wanted:
            return True
        values = b"\0".join(fields.values())
        return any(text in values for text in texts) and concerns(
            texts_of(fields), plan_id, order_ids, client_order_id
        )

    return entries_of(redis, redis.keys.events, names_it, since_ms)


def entries_of(
    redis: RedisReading, stream: str, wanted: Callable[[Fields], bool], since_ms: int | None
) -> tuple[Dated, ...]:
    """Return the entries of a stream that are wanted, oldest first; none of a key of another type."""
    try:
        found = [
            Dated(entry_id, texts_of(fields))
            for entry_id, fields in redis.newest_first(stream, since_ms=since_ms)
            if wanted(fields)
        ]
    except ResponseError:
        return ()
    return tuple(reversed(found))


def look_for_booking(redis: RedisReading, symbol: str, order_id: str) -> Booked | None:
    """Return what the ledger writer remembers of an order."""
    try:
        stored: bytes | None = redis.client.hget(redis.keys.order_memory(symbol), order_id)  # type: ignore[assignment]
    except ResponseError:
        return None
    return booked_of(order_id, stored)


def hash_of(redis: RedisReading, key: str) -> dict[str, str]:
    """Return the fields of a hash; none where there is none, or a key of another type."""
    try:
        stored: Mapping[bytes, bytes] = redis.client.hgetall(key)  # type: ignore[assignment]
    except ResponseError:
        return {}
    return texts_of(stored)


def string_of(redis: RedisReading, key: str) -> str | None:
    """Return the value of a string key; None where there is none, or a key of another type."""
    try:
        stored: bytes | None = redis.client.get(key)  # type: ignore[assignment]
    except ResponseError:
        return None
    return None if stored is None else stored.decode(errors="backslashreplace")
