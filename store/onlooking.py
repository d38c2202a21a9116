"""What onlookers read from a real Redis: few commands, whatever the number of symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store.errors import StoreRefusedError
from store.keys import Keys
from store.records import Hold, PermitTraces, Restraints
from store.redis_link import RedisLink
from store.stored_values import last_executions, read_text, read_unknown

Command = tuple[bytes | str | int | float, ...]


async def restraints(
    link: RedisLink, keys: Keys, symbols: Sequence[str], booked: Sequence[str]
) -> Restraints:
    """As `OnlookerStore.restraints`: one MGET for all holds and one for all cooldown keys."""
    commands: list[Command] = [("TIME",)]
    if symbols:
        commands.append(("MGET", *map(keys.hold, symbols)))
        commands.append(("MGET", *map(keys.cooldown, symbols)))
    commands += [("HGET", keys.ledger(symbol), "last_order_time_epoch") for symbol in booked]
    now, *answers = _unrefused(await link.pipeline(commands), 3 if symbols else 1)
    values, cooldowns = answers[:2] if symbols else ((), ())
    order_times = answers[2:] if symbols else answers
    held = [symbol for symbol, value in zip(symbols, values, strict=True) if value is not None]
    lives_ms: list[Any] = []
    if held:
        lives_ms = await link.pipeline([("PTTL", keys.hold(symbol)) for symbol in held])
    return Restraints(
        _ms(now),
        # -2: it ended between the two reads.
        tuple(
            Hold(symbol, life_ms if life_ms >= 0 else None)
            for symbol, life_ms in zip(held, lives_ms, strict=True)
            if isinstance(life_ms, int) and life_ms != -2
        ),
        last_executions(
            dict(zip(symbols, map(read_text, cooldowns), strict=True)),
            dict(zip(booked, map(read_text, order_times), strict=True)),
        ),
    )


async def permit_traces(link: RedisLink, keys: Keys, plan_id: str, symbol: str | None) -> PermitTraces:
    """As `OnlookerStore.permit_traces`."""
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
        _ms(now),
        permit if there else None,
        life_ms if there and isinstance(life_ms, int) and life_ms >= 0 else None,
        None if isinstance(consumer, Exception) else read_text(consumer),
        read_text(reservation[0]) if reservation and not isinstance(reservation[0], Exception) else None,
        read_unknown(unknown),
    )


def _unrefused(answers: list[Any], count: int) -> list[Any]:
    """The answers; raises StoreRefusedError when one of the first `count` is an error."""
    for answer in answers[:count]:
        if isinstance(answer, Exception):
            raise StoreRefusedError(str(answer)) from answer
    return answers


def _ms(time: Any) -> int:
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
