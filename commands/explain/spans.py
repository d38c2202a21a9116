"""Spans of the roles' streams: by them a missing trace is trimmed, not made yet, or was never made."""

from __future__ import annotations

from redis.exceptions import NoPermissionError, ResponseError

from commands.clients.redis_reading import RedisReading, text_of
from explanation.chain import StreamSpan
from explanation.timeline import entry_ms
from store.keys import role_audits


def spans_of(redis: RedisReading) -> dict[str, StreamSpan]:
    """Return the span of each role's audit stream, by the part's name. Raises redis.exceptions.RedisError."""
    return {name: _span(redis, stream) for name, stream in role_audits(redis.keys).items()}


def _span(redis: RedisReading, stream: str) -> StreamSpan:
    try:
        first = redis.client.xrange(stream, count=1)
        last = redis.client.xrevrange(stream, count=1)
    except NoPermissionError:
        return StreamSpan(0, 0, readable=False)
    except ResponseError:
        return StreamSpan(0, 0)
    if not first or not last:
        return StreamSpan(0, 0)
    return StreamSpan(entry_ms(text_of(first[0][0])), entry_ms(text_of(last[0][0])))
