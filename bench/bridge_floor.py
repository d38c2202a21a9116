"""Bridge floor: XREADGROUP → write + XACK through trio-asyncio and redis-py, one round trip a batch.

The least cost of a program on this stack. `python -m bench.bridge_floor REDIS_URL STREAM`, until SIGTERM.
"""

from __future__ import annotations

import sys
from typing import Any

import redis.asyncio as aioredis
import trio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from bench.floor_writes import GROUP, PENDING, UNREAD, WRITES, read
from bench.redis_socket import Command
from permit_gate.bridge import trio_asyncio

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class Asyncio:
    """Asyncio side of the bridge, set up like the daemon's clients."""

    def __init__(self, url: str, stream: str) -> None:
        self._stream = stream
        self._client = aioredis.Redis.from_url(
            url,
            protocol=3,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )

    async def commit_and_read(self, commands: list[Command], after: str) -> Entries:
        """Write the replies of the last batch in one round trip, then read the next one."""
        if commands:
            pipe = self._client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            await pipe.execute()
        answer: Any = await self._client.execute_command(*read(self._stream, after))  # type: ignore[no-untyped-call]
        return answer[self._stream.encode()][0] if answer else []


async def serve(url: str, stream: str) -> None:
    """Answer the entries of `stream` until the process is stopped."""
    write = WRITES[stream]
    async with trio_asyncio.open_loop():
        cross = trio_asyncio.aio_as_trio(Asyncio(url, stream).commit_and_read)
        commands: list[Command] = []
        after = PENDING
        while True:
            entries: Entries = await cross(commands, after)
            commands = [write(fields) for _, fields in entries]
            if not entries:
                after = UNREAD
            else:
                commands.append(("XACK", stream, GROUP, *(entry_id for entry_id, _ in entries)))


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], sys.argv[2])
