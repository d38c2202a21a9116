"""Consumer of plans as a desk would write it: asyncio, uvloop, redis-py.

The entries of a read are answered one after another, or with `together` those of different symbols at once;
the next read follows. `python -m bench.hand_written REDIS_URL STREAM [together]`, until SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from redis.asyncio import BlockingConnectionPool, Redis

from bench.desk_handler import DeskHandler, read_steps
from bench.floor_writes import GROUP, PENDING, UNREAD, Fields

_BATCH = 64
_BLOCK_MS = 5_000
_CONNECTIONS = 32

Entries = list[tuple[bytes, Fields]]


async def serve(url: str, stream: str, *, together: bool) -> None:
    """Answer the entries of `stream` until the process is stopped."""
    redis = Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=_CONNECTIONS))
    handler = DeskHandler(redis, await read_steps(redis))
    after = PENDING
    while True:
        found: Any = await redis.xreadgroup(GROUP, "desk", {stream: after}, count=_BATCH, block=_BLOCK_MS)
        entries: Entries = _entries(found)
        if not entries:
            after = UNREAD
            continue
        if together:
            await _by_symbol(handler, entries)
        else:
            await _in_order(handler, entries)


def _entries(found: Any) -> Entries:
    """Return the entries of the one stream that was read; redis-py has two forms of them."""
    if isinstance(found, dict):
        return [entry for batches in found.values() for batch in batches for entry in batch]
    return [entry for _, entries in found for entry in entries]


async def _by_symbol(handler: DeskHandler, entries: Entries) -> None:
    of_symbol: dict[bytes, Entries] = {}
    for entry in entries:
        of_symbol.setdefault(entry[1][b"symbol"], []).append(entry)
    async with asyncio.TaskGroup() as symbols:
        for those in of_symbol.values():
            symbols.create_task(_in_order(handler, those))


async def _in_order(handler: DeskHandler, entries: Entries) -> None:
    for entry_id, fields in entries:
        await handler.answer(fields, entry_id)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], together=sys.argv[3:] == ["together"]))
