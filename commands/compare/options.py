"""Choice of the decisions that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec
from redis.exceptions import ResponseError

from commands.clients.redis_reading import RedisReading, text_of
from explanation.entry_texts import texts_of
from explanation.timeline import Dated, entry_ms


class CompareOptions(msgspec.Struct, frozen=True):
    """The newest `last` decisions of ours, those of the last `since_sec`, or all that are recorded."""

    last: int | None = None
    since_sec: float | None = None

    def ours(self, redis: RedisReading, stream: str) -> Iterator[Dated]:
        """Yield entries of a stream of ours, newest first. Raises redis.exceptions.RedisError."""
        yield from islice(self.of_the_time(redis, stream), self.last)

    def of_the_time(self, redis: RedisReading, stream: str) -> Iterator[Dated]:
        """Yield the entries of the last `since_sec`, newest first, however many."""
        since_ms = None
        if self.since_sec is not None:
            since_ms = redis.now_ms() - round(self.since_sec * 1000)
        yield from entries_since(redis, stream, since_ms)


def entries_since(redis: RedisReading, stream: str, since_ms: int | None) -> Iterator[Dated]:
    """Yield a stream's entries, newest first; none of a key of another type."""
    try:
        for entry_id, fields in redis.newest_first(stream, since_ms=since_ms):
            yield Dated(entry_id, texts_of(fields))
    except ResponseError:
        return


def first_ms(redis: RedisReading, stream: str) -> int | None:
    """Return the time of a stream's first entry; None where it has none."""
    try:
        entries = redis.client.xrange(stream, count=1)
    except ResponseError:
        return None
    return entry_ms(text_of(entries[0][0])) if entries else None
