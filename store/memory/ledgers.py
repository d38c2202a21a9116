"""Ledgers apart from bookings and their events (`adopt_ledgers.lua`, `renew_ledgers.lua`,
`emit_event.lua`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from brain.identifiers import FencingToken
from store.keys import Keys
from store.memory.consumer_group import LONGEST_DEAD
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.records import Adoption

_NUMBER = re.compile(rb"[+-]?[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 64


def adopt_ledgers(
    redis: Keyspace, keys: Keys, fence: FencingToken, adoptions: Sequence[Adoption], ttl_ms: int
) -> list[str]:
    """Create ledgers that are still missing, and return their symbols."""
    check_fence(redis, keys, fence)
    redis.stream(keys.events)
    adopted: list[str] = []
    for adoption in adoptions:
        key = keys.ledger(adoption.symbol)
        kind = redis.kind(key)
        if kind == "none" or (kind == "hash" and b"last_known_amt" not in redis.hash(key)):
            redis.delete(key)
            redis.hset(key, adoption.ledger_fields)
            redis.expire(key, ttl_ms)
            if adoption.event_fields:
                redis.xadd(keys.events, paired(adoption.event_fields), max_len=LONGEST_DEAD)
            adopted.append(adoption.symbol)
    return adopted


def renew_ledgers(
    redis: Keyspace, keys: Keys, fence: FencingToken, symbols: Sequence[str], ttl_ms: int
) -> None:
    """Renew the expiry of ledgers; copy an amount corrected by hand to the fields that P3.4 reads."""
    check_fence(redis, keys, fence)
    for symbol in symbols:
        key = keys.ledger(symbol)
        if redis.kind(key) != "hash":
            continue
        amount = redis.hash(key).get(b"last_known_amt")
        if amount is None:
            continue
        if _is_number(amount) and redis.hash(key).get(b"ledger_amt") != amount:
            number = float(amount)
            side = "LONG" if number > 0 else "SHORT" if number < 0 else "FLAT"
            redis.hset(key, ("ledger_amt", amount, "ledger_side", side, "last_known_side", side))
        redis.expire(key, ttl_ms)


def emit_event(redis: Keyspace, keys: Keys, fence: FencingToken, fields: Sequence[str]) -> None:
    """Append a reconcile event."""
    check_fence(redis, keys, fence)
    redis.xadd(keys.events, paired(fields), max_len=LONGEST_DEAD)


def _is_number(text: bytes) -> bool:
    return len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None
