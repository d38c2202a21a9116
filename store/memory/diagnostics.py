"""Reads of the twin for status page and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brain.identifiers import PlanId, Symbol
from store.keys import Keys
from store.memory.keyspace import Keyspace
from store.memory.reads import field_at, ledger_at, text_at
from store.records import Hold, HoldsAndCooldowns, PermitTraces
from store.stored_values import last_executions, read_text, read_unknown


def holds_and_cooldowns(
    redis: Keyspace, keys: Keys, symbols: Sequence[str], booked: Sequence[str]
) -> HoldsAndCooldowns:
    """As `DiagnosticsStore.holds_and_cooldowns`."""
    hold_kinds = {symbol: redis.kind(keys.hold(symbol)) for symbol in symbols}
    cooldown_kinds = {symbol: redis.kind(keys.cooldown(symbol)) for symbol in symbols}
    holds: list[Hold] = []
    for symbol, kind in hold_kinds.items():
        if kind != "none":
            life_ms = redis.ttl_ms(keys.hold(symbol))
            holds.append(Hold(symbol, life_ms if life_ms >= 0 else None))
    cooldowns = {symbol: text_at(redis, keys.cooldown(symbol)) for symbol in symbols}
    ledgers = {symbol: ledger_at(redis, keys.ledger(symbol)) for symbol in booked}
    return HoldsAndCooldowns(
        redis.now_ms(),
        tuple(holds),
        last_executions(cooldowns, ledgers),
        _wrong(hold_kinds),
        _wrong(cooldown_kinds),
    )


def permit_traces(redis: Keyspace, keys: Keys, plan_id: PlanId, symbol: Symbol | None) -> PermitTraces:
    """As `DiagnosticsStore.permit_traces`."""
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
    """Return a hash; empty also where the key is of another type."""
    return redis.hash(key) if redis.kind(key) == "hash" else {}


def _wrong(kinds: Mapping[str, str]) -> dict[str, str]:
    return {symbol: kind for symbol, kind in kinds.items() if kind not in ("string", "none")}


def _string(redis: Keyspace, key: str) -> bytes | None:
    """Return a string's bytes; None also where the key is of another type."""
    return redis.text(key) if redis.kind(key) == "string" else None
