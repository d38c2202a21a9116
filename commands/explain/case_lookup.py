"""Lookup of the traces of a symbol's case in Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from redis.exceptions import ResponseError

from brain.identifiers import PlanId, Symbol, is_symbol
from commands.clients.redis_reading import Fields, RedisReading
from commands.explain.execution_lookup import hash_of, look_for_booking, string_of
from explanation.case import CaseTraces, HoldNow
from explanation.case_events import NamedOrder, named_orders
from explanation.entry_texts import texts_of
from explanation.execution import Booked
from explanation.timeline import Dated
from store.keys import ExecutorKeys, ReconcileKeys

_MOST_EVENTS = 50
_MOST_ORDERS = 50
#: Steps and results of the orders are read so far back, as far as a state lives (ms).
_BACK_MS = 86_400_000


def symbol_of_case(text: str, redis: RedisReading) -> Symbol | None:
    """Return the symbol that a text names; None for one that names a plan, or a symbol without any trace.

    Raises redis.exceptions.RedisError.
    """
    name = text.upper()
    if not is_symbol(name) or redis.client.exists(redis.keys.plan_mark(PlanId(text))):
        return None
    keys = (
        *(ReconcileKeys(redis.keys, shadow=shadow).state(name) for shadow in (False, True)),
        redis.keys.ledger(name),
        redis.keys.snapshot(name),
        redis.keys.hold(name),
    )
    return name if redis.client.exists(*keys) else None


def look_for_case(symbol: Symbol, redis: RedisReading) -> CaseTraces:
    """Return the traces of a symbol's case. Raises redis.exceptions.RedisError."""
    now_ms = redis.now_ms()
    keys = ReconcileKeys(redis.keys, shadow=False)
    of_shadow = ReconcileKeys(redis.keys, shadow=True)
    state = hash_of(redis, keys.state(symbol))
    shadow_state = {} if state else hash_of(redis, of_shadow.state(symbol))
    events = _newest(redis, keys.events, _of_symbol(symbol), since_ms=None)
    shadow_events = _newest(redis, of_shadow.events, _of_symbol(symbol), since_ms=None)
    named = _named(state or shadow_state, *(each.fields for each in (*events, *shadow_events)))
    since_ms = now_ms - _BACK_MS
    plan_ids = {each.fields["plan_id"].encode() for each in events if each.fields.get("plan_id")}
    client_ids = {each.client_order_id.encode() for each in named if each.client_order_id}
    order_ids = {each.order_id.encode() for each in named}
    steps = _newest(
        redis,
        ExecutorKeys(redis.keys).audit,
        lambda fields: fields.get(b"client_order_id") in client_ids or fields.get(b"plan_id") in plan_ids,
        since_ms=since_ms,
    )
    return CaseTraces(
        symbol=symbol,
        now_ms=now_ms,
        state=state or shadow_state,
        shadow=bool(shadow_state),
        hold=_hold(redis, keys, symbol),
        ledger=hash_of(redis, redis.keys.ledger(symbol)),
        snapshot=hash_of(redis, redis.keys.snapshot(symbol)),
        events=events,
        shadow_events=shadow_events,
        steps=steps,
        results=_newest(
            redis,
            redis.keys.results,
            lambda fields: fields.get(b"order_id") in order_ids or fields.get(b"plan_id") in plan_ids,
            since_ms=since_ms,
        ),
        dead_results=_newest(redis, redis.keys.dead_results, _of_symbol(symbol), since_ms=since_ms),
        booked=tuple(_booked(redis, symbol, named)),
    )


def _of_symbol(symbol: Symbol) -> Callable[[Fields], bool]:
    wanted = symbol.encode()
    return lambda fields: fields.get(b"symbol") == wanted


def _newest(
    redis: RedisReading, stream: str, wanted: Callable[[Fields], bool], *, since_ms: int | None
) -> tuple[Dated, ...]:
    """Return the newest 50 entries of a stream that are wanted, oldest first."""
    found: list[Dated] = []
    try:
        for entry_id, fields in redis.newest_first(stream, since_ms=since_ms):
            if wanted(fields):
                found.append(Dated(entry_id, texts_of(fields)))
                if len(found) == _MOST_EVENTS:
                    break
    except ResponseError:
        return ()
    return tuple(reversed(found))


def _named(*texts: Mapping[str, str]) -> list[NamedOrder]:
    """Return the orders that state and events name, each once, newest last."""
    found = {each.order_id: each for fields in texts for each in named_orders(fields)}
    return sorted(found.values(), key=lambda each: each.time_ms)[-_MOST_ORDERS:]


def _booked(redis: RedisReading, symbol: Symbol, named: list[NamedOrder]) -> Iterator[Booked]:
    for each in named:
        booked = look_for_booking(redis, symbol, each.order_id)
        if booked is not None:
            yield booked


def _hold(redis: RedisReading, keys: ReconcileKeys, symbol: Symbol) -> HoldNow | None:
    ttl_ms = int(redis.client.pttl(keys.hold(symbol)))
    if ttl_ms == -2:
        return None
    return HoldNow(
        value=string_of(redis, keys.hold(symbol)) or "a value of a wrong type",
        sig=string_of(redis, keys.hold_sig(symbol)) or "",
        reason=string_of(redis, keys.hold_reason(symbol)) or "",
        ttl_sec=None if ttl_ms < 0 else ttl_ms / 1000,
    )
