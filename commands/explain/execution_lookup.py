"""Lookup of the traces that the service's own executor has left of a plan."""

from __future__ import annotations

from collections.abc import Mapping

from redis.exceptions import ResponseError

from brain.identifiers import PlanId
from commands.clients.redis_reading import RedisReading, text_of
from explanation.execution import Booked, Dated, ExecutionTraces
from store.keys import ExecutorKeys


def look_for_execution(plan_id: PlanId, published_ms: int | None, redis: RedisReading) -> ExecutionTraces:
    """Return the traces of a plan's execution; streams are read back to its publication, if that is known.

    Raises redis.exceptions.RedisError.
    """
    keys = ExecutorKeys(redis.keys)
    steps = _entries_of(plan_id, redis, keys.audit, published_ms)
    record = hash_of(redis, keys.order(plan_id))
    if not steps and not record:
        return ExecutionTraces()
    symbol = record.get("symbol") or (steps[-1].fields.get("symbol") if steps else None) or ""
    order_id, client_order_id = record.get("order_id"), record.get("client_order_id")
    return ExecutionTraces(
        steps=steps,
        results=_entries_of(plan_id, redis, redis.keys.results, published_ms),
        record=record,
        block=string_of(redis, keys.block(plan_id)),
        booked=booked_of(redis, symbol, order_id) if order_id else None,
        held=bool(client_order_id) and string_of(redis, keys.hold_sig(symbol)) == f"exec:{client_order_id}",
    )


def _entries_of(plan_id: PlanId, redis: RedisReading, stream: str, since_ms: int | None) -> tuple[Dated, ...]:
    wanted = plan_id.encode(errors="surrogateescape")
    try:
        found = [
            Dated(entry_id, texts_of(fields))
            for entry_id, fields in redis.newest_first(stream, since_ms=since_ms)
            if fields.get(b"plan_id") == wanted
        ]
    except ResponseError:
        return ()
    return tuple(reversed(found))


def booked_of(redis: RedisReading, symbol: str, order_id: str) -> Booked | None:
    """Return what the ledger writer remembers of an order: `0.3|1760000000123`."""
    try:
        stored: bytes | None = redis.client.hget(redis.keys.order_memory(symbol), order_id)  # type: ignore[assignment]
    except ResponseError:
        return None
    quantity, _, at_ms = text_of(stored or b"").partition("|")
    return Booked(order_id, quantity, int(at_ms)) if at_ms.isdecimal() else None


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


def texts_of(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return fields as text, each in full."""
    return {
        name.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
        for name, value in fields.items()
    }
