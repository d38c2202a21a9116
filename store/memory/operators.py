"""In-memory twin of `store.redis.operators`."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import Symbol
from store.keys import ExecutorKeys, GovernorKeys, Keys
from store.memory.connection import MemoryConnection
from store.memory.execution_reads import string_at, switches_at
from store.memory.governor_steps import LONGEST_EVENTS
from store.memory.keyspace import Keyspace, paired
from store.notice_records import MOST_MARKS, SeenMark, encode_mark, read_marks, seen_field
from store.operator_records import Hold, OperatorView
from store.operator_values import hold_texts, read_hold
from store.stored_values import utc_date


class MemoryOperators(MemoryConnection):
    """`OperatorStore`."""

    async def operator_view(self, symbol: Symbol | None) -> OperatorView:
        return await self._run(operator_view, symbol)

    async def set_trading_state(self, before: bytes | None, state: str, event: Sequence[str]) -> bool:
        return await self._run(set_trading_state, before, state, event)

    async def set_hold(
        self, symbol: Symbol, before: Hold | None, reason: str, sig: str, event: Sequence[str]
    ) -> bool:
        if not sig:
            raise ValueError("a hold has an owner")
        return await self._call(
            "set_hold",
            lambda: change_hold(self._keyspace, self._keys, symbol, before, reason, sig, event),
        )

    async def lift_hold(self, symbol: Symbol, before: Hold, event: Sequence[str]) -> bool:
        return await self._call(
            "lift_hold", lambda: change_hold(self._keyspace, self._keys, symbol, before, "", "", event)
        )

    async def mark_seen(
        self, kind: str, subject: str, mark: SeenMark, now_ms: int, event: Sequence[str]
    ) -> bool:
        return await self._run(mark_seen, kind, subject, mark, now_ms, event)

    async def seen_notices(self) -> dict[str, SeenMark]:
        return await self._call(
            "seen_notices",
            lambda: read_marks(self._keyspace.hash(self._keys.seen), self._keyspace.now_ms()),
        )


def mark_seen(
    redis: Keyspace, keys: Keys, kind: str, subject: str, mark: SeenMark, now_ms: int, event: Sequence[str]
) -> bool:
    """As `mark_seen.lua`. Raises WrongTypeError."""
    redis.stream(keys.own_events)
    notice = seen_field(kind, subject).encode()
    others = {field: text for field, text in redis.hash(keys.seen).items() if field != notice}
    standing = read_marks(others, now_ms)
    if len(standing) >= MOST_MARKS:
        return False
    redis.xadd(keys.own_events, paired(event), max_len=LONGEST_EVENTS)
    redis.hdel(keys.seen, [field for field in others if field.decode(errors="replace") not in standing])
    redis.hset(keys.seen, [notice, encode_mark(mark)])
    latest_ms = max(mark.until_ms, *(each.until_ms for each in standing.values()), 0)
    redis.expire(keys.seen, max(latest_ms - now_ms, 1))
    return True


def operator_view(redis: Keyspace, keys: Keys, symbol: Symbol | None) -> OperatorView:
    """As `OperatorStore.operator_view`."""
    now_ms, executor = redis.now_ms(), ExecutorKeys(keys)
    disarmed = string_at(redis, GovernorKeys(keys, shadow=False).disarm(utc_date(now_ms)))
    hold = None
    if symbol is not None:
        value, reason, sig = (string_at(redis, key) for key in _hold_keys(keys, symbol))
        hold = read_hold(value, reason, sig, redis.ttl_ms(keys.hold(symbol)))
    return OperatorView(now_ms, switches_at(redis, executor), disarmed, hold)


def set_trading_state(
    redis: Keyspace, keys: Keys, before: bytes | None, state: str, event: Sequence[str]
) -> bool:
    """As `set_trading_state.lua`. Raises WrongTypeError."""
    governor, executor = GovernorKeys(keys, shadow=False), ExecutorKeys(keys)
    redis.stream(governor.events)
    if string_at(redis, executor.trading_state) != before:
        return False
    redis.xadd(governor.events, paired(event), max_len=LONGEST_EVENTS)
    redis.set(executor.trading_state, state)
    return True


def change_hold(
    redis: Keyspace, keys: Keys, symbol: Symbol, before: Hold | None, reason: str, sig: str,
    event: Sequence[str],
) -> bool:  # fmt: skip
    """As `change_hold.lua`. Raises WrongTypeError."""
    redis.stream(keys.events)
    hold, reason_key, sig_key = _hold_keys(keys, symbol)
    found = tuple(string_at(redis, key) for key in (hold, reason_key, sig_key))
    # What is left of a hold that has ended says nothing.
    if (found if found[0] is not None else (None, None, None)) != hold_texts(before):
        return False
    redis.xadd(keys.events, paired(event), max_len=LONGEST_EVENTS)
    for key, text in ((sig_key, sig), (reason_key, reason), (hold, "1")):
        if sig:
            redis.set(key, text)
        else:
            redis.delete(key)
    return True


def _hold_keys(keys: Keys, symbol: Symbol) -> tuple[str, str, str]:
    executor = ExecutorKeys(keys)
    return keys.hold(symbol), executor.hold_reason(symbol), executor.hold_sig(symbol)
