"""Reads without a script; a wrong type raises only where the real Redis's answer would be an error."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import EntryId, OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.errors import WrongTypeError
from store.keys import Keys
from store.memory.keyspace import Keyspace
from store.memory.streams import format_id, parse_id
from store.records import BookingState, Entry, SymbolState, UnknownOutcomes
from store.stored_values import UNREADABLE, read_ledger, read_open_permits, read_text, read_unknown_outcomes
from store.universe_records import UniverseKeys


def text_at(redis: Keyspace, key: str) -> str | None:
    """Return a string as text."""
    try:
        return read_text(redis.text(key))
    except WrongTypeError:
        return UNREADABLE


def field_at(redis: Keyspace, key: str, name: str) -> str | None:
    """Return a hash's field as text."""
    try:
        return read_text(redis.hash(key).get(name.encode()))
    except WrongTypeError:
        return UNREADABLE


def ledger_at(redis: Keyspace, key: str) -> StoredLedger:
    """A ledger's fields as text."""
    try:
        stored = redis.hash(key)
    except WrongTypeError:
        return read_ledger(None)
    return read_ledger([stored.get(name.encode()) for name in StoredLedger.__struct_fields__])


def booking_state(
    redis: Keyspace, keys: Keys, symbol: Symbol, plan_id: PlanId, order_ids: Sequence[OrderId]
) -> BookingState:
    """Return the state for the booking of a result. Raises WrongTypeError for a ledger of a wrong type."""
    key = keys.ledger(symbol)
    try:
        redis.hash(key)
    except WrongTypeError as error:
        raise WrongTypeError(f"ledger of {symbol}: {error}") from error
    memories = {order: field_at(redis, keys.order_memory(symbol), order) for order in order_ids}
    return BookingState(
        ledger=StoredLedger(*(field_at(redis, key, name) for name in StoredLedger.__struct_fields__)),
        version=field_at(redis, key, "version"),
        orders={order: memory for order, memory in memories.items() if memory is not None},
        permit=field_at(redis, keys.open_permits(symbol), f"p:{plan_id}"),
        plan_mark=text_at(redis, keys.plan_mark(plan_id)),
        adopted_exchange_ms=field_at(redis, key, "adopted_exchange_ms"),
        adopted_at_ms=field_at(redis, key, "adopted_at_ms"),
    )


def unknown_outcomes(redis: Keyspace, keys: Keys) -> UnknownOutcomes:
    """Return the plans whose order may have been filled. Raises WrongTypeError."""
    return UnknownOutcomes(redis.now_ms(), read_unknown_outcomes(redis.hash(keys.unknown_outcomes)))


def ledger_amounts(redis: Keyspace, keys: Keys, symbols: Sequence[str]) -> dict[str, str]:
    """Return `last_known_amt` of the ledgers that exist."""
    amounts = {symbol: field_at(redis, keys.ledger(symbol), "last_known_amt") for symbol in symbols}
    return {symbol: amount for symbol, amount in amounts.items() if amount is not None}


def open_permits(redis: Keyspace, keys: Keys, symbols: Sequence[str]) -> dict[str, SymbolState]:
    """Return the open permits of those symbols that have any."""
    found: dict[str, SymbolState] = {}
    for symbol in symbols:
        key = keys.open_permits(symbol)
        state = read_open_permits(redis.hash(key)) if redis.kind(key) == "hash" else None
        if state is not None:
            found[symbol] = state
    return found


def universe(redis: Keyspace, keys: Keys) -> UniverseKeys:
    """Return the raw universe keys; None where missing or of a wrong type."""
    active, last_ok = keys.universe_active, keys.universe_last_ok
    return UniverseKeys(
        redis.text(active) if redis.kind(active) == "string" else None,
        dict(redis.hash(keys.universe_meta)) if redis.kind(keys.universe_meta) == "hash" else None,
        redis.text(last_ok) if redis.kind(last_ok) == "string" else None,
    )


def unread_result(redis: Keyspace, keys: Keys, after: str) -> EntryId | None:
    """Return the id of the first result behind `after`."""
    stream = redis.stream(keys.results)
    behind = [] if stream is None else stream.behind(parse_id(after), 1)
    return format_id(behind[0]) if behind else None


def recent_intents(redis: Keyspace, keys: Keys, after: str, before: str | None, count: int) -> list[Entry]:
    """Return the newest intents above `after` and below `before`, newest first."""
    stream = redis.stream(keys.intents)
    if stream is None:
        return []
    newest = stream.newest_between(parse_id(after), None if before is None else parse_id(before), count)
    return [Entry(format_id(entry_id), stream.get(entry_id)) for entry_id in newest]
