"""In-memory twin of `store.redis.history`."""

from __future__ import annotations

from collections.abc import Sequence

from brain.history import MINUTES_KEPT, Minute, minute_text, read_minute
from brain.identifiers import FencingToken
from store.keys import HISTORY_TTL_MS, Keys
from store.memory.connection import MemoryConnection
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace


class MemoryHistory(MemoryConnection):
    """`HistoryStore` less what it shares with others."""

    async def write_minute(self, fence: FencingToken, minute: Minute) -> bool:
        return await self._fenced(
            "write_minute", fence, lambda: write_minute(self._keyspace, self._keys, fence, minute)
        )

    async def minutes(self, first: int, last: int) -> Sequence[Minute]:
        return await self._run(minutes, first, last)


def write_minute(redis: Keyspace, keys: Keys, fence: FencingToken, minute: Minute) -> bool:
    """As `write_minute.lua`. Raises WrongTypeError."""
    check_fence(redis, keys, fence)
    slot = str(minute.slot)
    stored = redis.hash(keys.history).get(slot.encode())
    if stored is not None and stored.startswith(b'{"m":%d,' % minute.number):
        return False
    redis.hset(keys.history, (slot, minute_text(minute)))
    redis.expire(keys.history, HISTORY_TTL_MS)
    return True


def minutes(redis: Keyspace, keys: Keys, first: int, last: int) -> list[Minute]:
    """As `HistoryStore.minutes`. Raises WrongTypeError."""
    stored = redis.hash(keys.history)
    found: list[Minute] = []
    for number in range(max(first, last - MINUTES_KEPT + 1), last + 1):
        text = stored.get(str(number % MINUTES_KEPT).encode())
        minute = None if text is None else read_minute(text)
        if minute is not None and minute.number == number:
            found.append(minute)
    return found
