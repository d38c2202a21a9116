"""Consumer of plans on FastStream, which reads, calls the handler and acknowledges, one entry after another.

`python -m bench.faststream_consumer REDIS_URL STREAM`, until SIGTERM.
"""

from __future__ import annotations

import logging
import sys

import uvloop
from faststream import FastStream
from faststream.redis import RedisBroker, RedisStreamMessage, StreamSub
from redis.asyncio import Redis

from bench.desk_handler import DeskHandler, read_steps
from bench.floor_writes import GROUP

_BATCH = 64
_BLOCK_MS = 5_000


async def serve(url: str, stream: str) -> None:
    """Answer the entries of `stream` until the process is stopped."""
    redis = Redis.from_url(url)
    handler = DeskHandler(redis, await read_steps(redis))
    # No line a plan: neither does the hand-written consumer log.
    log = logging.getLogger("faststream")
    log.setLevel(logging.WARNING)
    broker = RedisBroker(url, logger=log)
    source = StreamSub(
        stream, group=GROUP, consumer="faststream", polling_interval=_BLOCK_MS, max_records=_BATCH
    )

    @broker.subscriber(stream=source)
    async def answer(message: RedisStreamMessage) -> None:
        await handler.answer(message.raw_message["data"])

    await FastStream(broker, logger=log).run()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
