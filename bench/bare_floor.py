"""Floor: a single blocking socket, hiredis, XREADGROUP → write + XACK, no checks.

`python -m bench.bare_floor REDIS_URL STREAM`, until SIGTERM.
"""

from __future__ import annotations

import sys

from bench.floor_writes import GROUP, PENDING, UNREAD, WRITES, read
from bench.redis_socket import BlockingRedis, Command


def serve(url: str, stream: str) -> None:
    """Answer the entries of `stream` until the process is stopped."""
    write = WRITES[stream]
    redis = BlockingRedis(url, timeout_sec=None)
    after = PENDING
    while True:
        answer = redis.command(*read(stream, after))
        entries = answer[stream.encode()] if answer else []
        if not entries:
            after = UNREAD
            continue
        commands: list[Command] = [
            write(dict(zip(flat[::2], flat[1::2], strict=True))) for _, flat in entries
        ]
        commands.append(("XACK", stream, GROUP, *(entry_id for entry_id, _ in entries)))
        redis.pipeline(commands)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
