"""Reads of what judgements of the Governor rest on (`_governor.lua`, `governor_state.lua`)."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import Symbol
from store.execution_values import WRONG_TYPE
from store.governor_records import GovernorState, StoredEquity
from store.governor_values import (
    ALLOCATION_FIELDS,
    BUDGET_FIELDS,
    EFFICIENCY_FIELDS,
    ENTRY_FIELDS,
    EQUITY_FIELDS,
    EXIT_FIELDS,
    HOUR_MS,
    LATEST_MS,
    Texts,
    read_account,
    read_symbol,
)
from store.keys import ExecutorKeys, GovernorKeys, Keys
from store.memory.execution_reads import string_at
from store.memory.keyspace import Hash, Keyspace, SortedSet
from store.stored_values import utc_date


def own_texts(redis: Keyspace, keys: Keys, governor: GovernorKeys, date: str) -> Texts:
    """Return what the Governor itself and operators change."""
    version = string_at(redis, governor.version) or None
    trading_state = string_at(redis, ExecutorKeys(keys).trading_state)
    return (version, string_at(redis, governor.disarm(date)), trading_state)


def neighbours_texts(redis: Keyspace, keys: Keys, governor: GovernorKeys) -> Texts:
    """Return what other services and operators change of the account's state."""
    executor = ExecutorKeys(keys)
    texts = (string_at(redis, key) for key in executor.switches[1:])
    guards = (string_at(redis, key) for key in governor.guards)
    return (*texts, _exists(redis, executor.lockdown), _exists(redis, governor.frozen), *guards)


def symbol_texts(redis: Keyspace, governor: GovernorKeys, symbol: str, date: str) -> Texts:
    """Return a symbol's texts."""
    strings = (governor.opened(symbol, date), governor.reduced(symbol, date), governor.last_exec(symbol))
    return (
        *(string_at(redis, key) for key in strings),
        *_fields_at(redis, governor.kill_stats(symbol), (*ENTRY_FIELDS, *EXIT_FIELDS)),
        _exists(redis, governor.blacklisted(symbol)),
        *_fields_at(redis, governor.budget(symbol), BUDGET_FIELDS),
        *_fields_at(redis, governor.allocation(symbol), ALLOCATION_FIELDS),
        *_fields_at(redis, governor.efficiency(symbol), EFFICIENCY_FIELDS),
    )


def _exists(redis: Keyspace, key: str) -> bytes | None:
    return b"1" if redis.kind(key) != "none" else None


def _fields_at(redis: Keyspace, key: str, names: Sequence[str]) -> Texts:
    if redis.kind(key) not in ("hash", "none"):
        return (WRONG_TYPE,) * len(names)
    stored = redis.hash(key)
    return tuple(stored.get(name.encode()) for name in names)


def governor_state(
    redis: Keyspace, keys: Keys, governor: GovernorKeys, symbols: Sequence[Symbol]
) -> GovernorState:
    """As `GovernorStore.governor_state`."""
    now_ms = redis.now_ms()
    date = utc_date(now_ms)
    reserved = grants_at(redis, governor)
    windows = {symbol: window_at(redis, governor, symbol) for symbol in symbols}
    return GovernorState(
        now_ms=now_ms,
        account=read_account(
            own_texts(redis, keys, governor, date),
            neighbours_texts(redis, keys, governor),
            reserved,
        ),
        symbols={
            symbol: read_symbol(
                symbol_texts(redis, governor, symbol, date),
                None
                if window is None
                else [int(score) for score in window.scores(now_ms - HOUR_MS, LATEST_MS)],
            )
            for symbol, window in windows.items()
        },
        heat=string_at(redis, governor.heat),
    )


def grants_at(redis: Keyspace, governor: GovernorKeys) -> Hash | None:
    """Return the live grants; None for a key of a wrong type."""
    return redis.hash(governor.reserved) if redis.kind(governor.reserved) in ("hash", "none") else None


def window_at(redis: Keyspace, governor: GovernorKeys, symbol: str) -> SortedSet | None:
    """Return a symbol's window; None for a key of a wrong type."""
    key = governor.window(symbol)
    return redis.sorted_set(key) if redis.kind(key) in ("zset", "none") else None


def stored_equity(redis: Keyspace, governor: GovernorKeys) -> StoredEquity:
    """As `GovernorStore.stored_equity`. Raises WrongTypeError."""
    stored = redis.hash(governor.equity)
    return StoredEquity(*(stored.get(name.encode()) for name in EQUITY_FIELDS))
