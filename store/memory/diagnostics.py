"""What onlookers read from the twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from store.keys import Keys
from store.memory.keyspace import Keyspace
from store.memory.reads import field_at, text_at
from store.records import Hold, PermitTraces, Restraints
from store.stored_values import last_executions, read_text, read_unknown


def restraints(redis: Keyspace, keys: Keys, symbols: Sequence[str], booked: Sequence[str]) -> Restraints:
    """As `OnlookerStore.restraints`."""
    hold_kinds = {symbol: redis.kind(keys.hold(symbol)) for symbol in symbols}
    cooldown_kinds = {symbol: redis.kind(keys.cooldown(symbol)) for symbol in symbols}
    holds: list[Hold] = []
    for symbol, kind in hold_kinds.items():
        if kind != "none":
            life_ms = redis.ttl_ms(keys.hold(symbol))
            holds.append(Hold(symbol, life_ms if life_ms >= 0 else None))
    cooldowns = {symbol: text_at(redis, keys.cooldown(symbol)) for symbol in symbols}
    order_times = {symbol: field_at(redis, keys.ledger(symbol), "last_order_time_epoch") for symbol in booked}
    return Restraints(
        redis.now_ms(),
        tuple(holds),
        last_executions(cooldowns, order_times),
        _wrong(hold_kinds),
        _wrong(cooldown_kinds),
    )


def permit_traces(redis: Keyspace, keys: Keys, plan_id: str, symbol: str | None) -> PermitTraces:
    """As `OnlookerStore.permit_traces`."""
    permit = _string(redis, keys.permit(plan_id))
    life_ms = redis.ttl_ms(keys.permit(plan_id))
    reservation = None
    if symbol is not None and redis.kind(keys.open_permits(symbol)) in ("hash", "none"):
        reservation = field_at(redis, keys.open_permits(symbol), f"p:{plan_id}")
    return PermitTraces(
        redis.now_ms(),
        permit,
        life_ms if permit is not None and life_ms >= 0 else None,
        read_text(_string(redis, keys.permit_consumer(plan_id))),
        reservation,
        read_unknown(_fields(redis, keys.unknown_outcomes).get(plan_id.encode())),
    )


def _fields(redis: Keyspace, key: str) -> Mapping[bytes, bytes]:
    """A hash; empty also where the key is of another type."""
    return redis.hash(key) if redis.kind(key) == "hash" else {}


def _wrong(kinds: Mapping[str, str]) -> dict[str, str]:
    return {symbol: kind for symbol, kind in kinds.items() if kind not in ("string", "none")}


def _string(redis: Keyspace, key: str) -> bytes | None:
    """A string's bytes; None also where the key is of another type."""
    return redis.text(key) if redis.kind(key) == "string" else None
