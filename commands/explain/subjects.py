"""Subjects of `explain`: what a text names, of symbols, plans, orders and intents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from redis.exceptions import ResponseError

from brain.execution.orders import OWN_PREFIX
from brain.identifiers import PlanId, Symbol
from commands.clients.redis_reading import Fields, RedisReading, text_of
from commands.explain.case_lookup import symbol_of_case
from commands.explain.execution_lookup import string_of
from commands.explain.intent_lookup import intent_named, intents_beginning
from commands.explain.lookup import look_for
from explanation.case_events import named_orders
from explanation.entry_texts import orders_of, texts_of
from explanation.intents import IntentTraces
from explanation.printable import printable
from explanation.traces import PlanTraces
from store.keys import ExecutorKeys

_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
#: What surrounds an id that is copied from a log line, a table or JSON.
_SURROUNDINGS = " \t\r\n'\"`,;"
_MOST_NAMED = 10


class SymbolNamed(NamedTuple):
    """A symbol; `order_id`: the order by which it was found, of no plan."""

    symbol: Symbol
    order_id: str = ""


class Ambiguous(NamedTuple):
    """Several ids of a kind begin so."""

    kind: str
    ids: tuple[str, ...]


Subject = SymbolNamed | PlanTraces | IntentTraces | Ambiguous


def subject_of(pasted: str, redis: RedisReading) -> Subject | None:
    """Return what a text names: in full, or by the beginning of a plan's, an order's or an intent's id.

    White space and quotes around it, and line breaks that a terminal has put into it, do not count. Raises
    redis.exceptions.RedisError.
    """
    text = pasted.strip(_SURROUNDINGS)
    for each in dict.fromkeys((text, "".join(text.split()))):
        found = _subject(each, redis) if each else None
        if found is not None:
            return found
    return None


def _subject(text: str, redis: RedisReading) -> Subject | None:
    symbol = symbol_of_case(text, redis)
    if symbol is not None:
        return SymbolNamed(symbol)
    is_plan = bool(redis.client.exists(redis.keys.plan_mark(PlanId(text))))
    if not is_plan and _ENTRY_ID.fullmatch(text):
        by_entry = intent_named(text, redis) or _plan_of_entry(text, redis)
        if by_entry is not None:
            return by_entry
    if not is_plan and text.startswith(OWN_PREFIX):
        by_order = _plan_of_client_id(text, redis)
        if by_order is not None:
            return by_order
    traces = look_for(PlanId(text), redis)
    if traces.found:
        return traces
    if len(traces.similar) == 1:
        return look_for(traces.similar[0], redis)
    if traces.similar:
        return Ambiguous("plans", traces.similar)
    return _of_order(text, redis) or _intent(text, redis)


def _intent(text: str, redis: RedisReading) -> Subject | None:
    found = intent_named(text, redis)
    if found is not None:
        return found
    begun = intents_beginning(text, redis)
    if len(begun) == 1:
        return intent_named(begun[0], redis)
    return Ambiguous("intents", tuple(begun)) if begun else None


def _plan_of_entry(entry_id: str, redis: RedisReading) -> PlanTraces | None:
    """Return the plan of an entry of `apply.plan` or `apply.result`."""
    for stream in (redis.keys.plans, redis.keys.results):
        try:
            entries: list[tuple[bytes, Fields]] = redis.client.xrange(stream, entry_id, entry_id)  # type: ignore[assignment]
        except ResponseError:
            continue
        for _, fields in entries:
            if plan_id := fields.get(b"plan_id"):
                return look_for(PlanId(text_of(plan_id)), redis)
    return None


def _plan_of_client_id(client_order_id: str, redis: RedisReading) -> Subject | None:
    """Return the plan of an order of our executor, also by the beginning of its client order id."""
    keys = ExecutorKeys(redis.keys)
    plan_id = string_of(redis, keys.plan_of(client_order_id))
    if plan_id:
        return look_for(PlanId(plan_id), redis)
    begin = client_order_id.encode(errors="surrogateescape")
    found = {
        fields[b"client_order_id"]: fields.get(b"plan_id", b"")
        for fields in _entries(redis, keys.audit)
        if fields.get(b"client_order_id", b"").startswith(begin)
    }
    if len(found) > 1:
        return Ambiguous("orders", tuple(map(text_of, found))[:_MOST_NAMED])
    plans = [text_of(each) for each in found.values() if each]
    return look_for(PlanId(plans[0]), redis) if plans else None


def _of_order(text: str, redis: RedisReading) -> PlanTraces | SymbolNamed | None:
    """Return the plan of an order by the exchange's id or its client order id, else the order's symbol."""
    wanted = text.encode(errors="surrogateescape")
    for fields in _entries(redis, redis.keys.results):
        if not any(wanted in value for value in fields.values()):
            continue
        texts = texts_of(fields)
        named = (texts.get("order_id"), texts.get("client_order_id"), *orders_of(texts))
        if text in named and texts.get("plan_id"):
            return look_for(PlanId(texts["plan_id"]), redis)
    for fields in _entries(redis, ExecutorKeys(redis.keys).audit):
        if fields.get(b"order_id") == wanted and fields.get(b"plan_id"):
            return look_for(PlanId(text_of(fields[b"plan_id"])), redis)
    for fields in _entries(redis, redis.keys.events):
        if not any(wanted in value for value in fields.values()):
            continue
        orders = named_orders(texts_of(fields))
        symbol = text_of(fields.get(b"symbol", b""))
        if symbol and any(text in (each.order_id, each.client_order_id) for each in orders):
            return SymbolNamed(Symbol(symbol), text)
    return None


def _entries(redis: RedisReading, stream: str) -> Iterator[Fields]:
    try:
        for _, fields in redis.newest_first(stream):
            yield fields
    except ResponseError:
        return


def not_found(text: str, redis: RedisReading) -> str:
    """Return the sentence for a text that names nothing here."""
    return (
        f"no trace of {printable(text.strip())}, as a plan, an order, an intent or a symbol, in Redis at "
        f"{redis.address} under {redis.keys.prefix} (the streams keep only their newest entries)"
    )
