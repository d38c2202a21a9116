"""Reads of a real Redis for status page and explanations; their number does not grow with the symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from brain.identifiers import PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.errors import StoreRefusedError
from store.keys import Keys
from store.records import Hold, HoldsAndCooldowns, PermitTraces
from store.redis.client import Command, RedisLink
from store.redis.replies import read_time
from store.stored_values import UNREADABLE, last_executions, read_ledger, read_text, read_unknown


async def holds_and_cooldowns(
    link: RedisLink, keys: Keys, symbols: Sequence[str], booked: Sequence[str]
) -> HoldsAndCooldowns:
    """As `DiagnosticsStore.holds_and_cooldowns`: one MGET for all holds and one for all cooldown keys.

    MGET answers nil for a key of another type, EXISTS counts it.
    """
    commands: list[Command] = [("TIME",)]
    if symbols:
        for key_of in (keys.hold, keys.cooldown):
            commands += [(name, *map(key_of, symbols)) for name in ("MGET", "EXISTS")]
    commands += [("HMGET", keys.ledger(symbol), *StoredLedger.__struct_fields__) for symbol in booked]
    now, *answers = _unrefused(await link.pipeline(commands), 5 if symbols else 1)
    values, holds, cooldowns, cooldown_keys = answers[:4] if symbols else ((), 0, (), 0)
    ledgers = answers[4:] if symbols else answers
    hold_kinds = await _wrong_kinds(link, keys.hold, symbols, values, holds)
    cooldown_kinds = await _wrong_kinds(link, keys.cooldown, symbols, cooldowns, cooldown_keys)
    held = [
        symbol
        for symbol, value in zip(symbols, values, strict=True)
        if value is not None or symbol in hold_kinds
    ]
    lives_ms: list[Any] = []
    if held:
        lives_ms = await link.pipeline([("PTTL", keys.hold(symbol)) for symbol in held])
    return HoldsAndCooldowns(
        read_time(now),
        # -2: it expired between the two reads.
        tuple(
            Hold(symbol, life_ms if life_ms >= 0 else None)
            for symbol, life_ms in zip(held, lives_ms, strict=True)
            if isinstance(life_ms, int) and life_ms != -2
        ),
        last_executions(
            dict(zip(symbols, map(read_text, cooldowns), strict=True))
            | dict.fromkeys(cooldown_kinds, UNREADABLE),
            dict(zip(booked, map(read_ledger, ledgers), strict=True)),
        ),
        hold_kinds,
        cooldown_kinds,
    )


async def _wrong_kinds(
    link: RedisLink, key_of: Callable[[str], str], symbols: Sequence[str], values: Sequence[Any], exist: int
) -> dict[str, str]:
    """Return the type by symbol of each existing key that is no string."""
    missing = [symbol for symbol, value in zip(symbols, values, strict=True) if value is None]
    if exist == len(symbols) - len(missing):
        return {}
    kinds = await link.pipeline([("TYPE", key_of(symbol)) for symbol in missing])
    return {
        symbol: kind.decode()
        for symbol, kind in zip(missing, kinds, strict=True)
        if isinstance(kind, bytes) and kind not in (b"none", b"string")
    }


async def permit_traces(link: RedisLink, keys: Keys, plan_id: PlanId, symbol: Symbol | None) -> PermitTraces:
    """As `DiagnosticsStore.permit_traces`."""
    permit_key = keys.permit(plan_id)
    commands: list[Command] = [
        ("TIME",),
        ("GET", permit_key),
        ("PTTL", permit_key),
        ("GET", keys.permit_consumer(plan_id)),
        ("HGET", keys.unknown_outcomes, plan_id),
    ]
    if symbol is not None:
        commands.append(("HGET", keys.open_permits(symbol), f"p:{plan_id}"))
    now, permit, life_ms, consumer, unknown, *reservation = _unrefused(await link.pipeline(commands), 1)
    there = isinstance(permit, bytes)
    return PermitTraces(
        read_time(now),
        permit if there else None,
        life_ms if there and isinstance(life_ms, int) and life_ms >= 0 else None,
        None if isinstance(consumer, Exception) else read_text(consumer),
        read_text(reservation[0]) if reservation and not isinstance(reservation[0], Exception) else None,
        read_unknown(unknown),
    )


def _unrefused(answers: list[Any], count: int) -> list[Any]:
    """Return the replies. Raises StoreRefusedError when one of the first `count` is an error."""
    for answer in answers[:count]:
        if isinstance(answer, Exception):
            raise StoreRefusedError(str(answer)) from answer
    return answers
