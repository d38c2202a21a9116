"""Results that P3.3 does not get to see, as after an XDEL or a trim before its read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from commands.demo.keys import KEYS
from commands.demo.machine_load import LoadMeter, NotInTimeError, Patience
from store.keys import GROUP
from store.redis.client import RedisLink

_WITHIN_SEC = 3.0
_LOOK_SEC = 0.01
_LATER_MS = 3_600_000

# redis-py cannot read the extended answer of XPENDING.
_IS_PENDING = "return #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)"


class LostResults:
    """Loses results of one Redis."""

    def __init__(self, redis: RedisLink, meter: LoadMeter) -> None:
        self._redis = redis
        self._meter = meter

    @asynccontextmanager
    async def losing(self, lost: list[str]) -> AsyncIterator[None]:
        """Keep results from P3.3 for the length of a block; those of `lost` are deleted at its end.

        Other readers get to see them all. Raises NotInTimeError.
        """
        groups = await self._redis.command("XINFO", "GROUPS", KEYS.results)
        (last,) = [group[b"last-delivered-id"] for group in groups if group[b"name"] == GROUP.encode()]
        later = f"{time.time_ns() // 1_000_000 + _LATER_MS}-0"
        await self._redis.command("XGROUP", "SETID", KEYS.results, GROUP, later)
        try:
            yield
            for entry_id in lost:
                await self._others_have_read(entry_id)
        finally:
            with trio.CancelScope(shield=True):
                for entry_id in lost:
                    await self._redis.command("XDEL", KEYS.results, entry_id)
                await self._redis.command("XGROUP", "SETID", KEYS.results, GROUP, last)

    async def _others_have_read(self, entry_id: str) -> None:
        """Wait until all groups but that of P3.3 have acknowledged a result. Raises NotInTimeError."""
        patience = Patience(_WITHIN_SEC, self._meter)
        while unread := await self.unread_by_others(entry_id):
            if patience.is_over:
                raise NotInTimeError(f"a read of result {entry_id} by {', '.join(unread)}")
            await trio.sleep(_LOOK_SEC)

    async def unread_by_others(self, entry_id: str) -> list[str]:
        """Return the groups other than that of P3.3 that have not acknowledged a result."""
        unread: list[str] = []
        for group in await self._redis.command("XINFO", "GROUPS", KEYS.results):
            name = group[b"name"].decode()
            pending = ("EVAL", _IS_PENDING, 1, KEYS.results, name, entry_id)
            is_delivered = _as_numbers(group[b"last-delivered-id"].decode()) >= _as_numbers(entry_id)
            if name != GROUP and (not is_delivered or await self._redis.command(*pending)):
                unread.append(name)
        return unread


def _as_numbers(entry_id: str) -> tuple[int, int]:
    at_ms, _, number = entry_id.partition("-")
    return int(at_ms), int(number)
