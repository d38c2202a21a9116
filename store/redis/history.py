"""The history's part of the store on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence

from brain.history import MINUTES_KEPT, Minute, minute_text, read_minute
from brain.identifiers import FencingToken
from store.keys import HISTORY_TTL_MS, Keys
from store.redis.client import RedisLink, naming
from store.redis.scripts import ScriptRunner

#: Slots a read asks for: 170 KB at most, so that no other call waits for long.
_READ_TOGETHER = 240


class RedisHistory:
    """`HistoryStore` less what it shares with others. `RedisStore` has the links."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    async def write_minute(self, fence: FencingToken, minute: Minute) -> bool:
        written = await self._scripts.run(
            "write_minute", self._keys.prefix, fence, minute.slot, minute.number, minute_text(minute),
            HISTORY_TTL_MS,
        )  # fmt: skip
        return bool(written)

    async def minutes(self, first: int, last: int) -> Sequence[Minute]:
        found: list[Minute] = []
        numbers = range(max(first, last - MINUTES_KEPT + 1), last + 1)
        for begin in range(0, len(numbers), _READ_TOGETHER):
            some = numbers[begin : begin + _READ_TOGETHER]
            slots = [number % MINUTES_KEPT for number in some]
            with naming(self._keys.history):
                texts = await self._writes.command("HMGET", self._keys.history, *slots)
            for number, text in zip(some, texts, strict=True):
                minute = None if text is None else read_minute(text)
                if minute is not None and minute.number == number:
                    found.append(minute)
        return found
