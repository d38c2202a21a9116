"""A plain Redis client for operators' commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import redis
import redis.sentinel
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

import settings
from brain.identifiers import EntryId
from permit_gate.sentinels import names_sentinels, sentinel_pools
from store.errors import StoreError
from store.keys import Keys
from store.redis.errors import translate
from store.redis.replies import read_time
from store.redis.server_mode import shake_hands_blocking

_TIMEOUT_SEC = 5.0
_PAGE = 500

#: Names and values of an entry as they are stored.
Fields = Mapping[bytes, bytes]


def text_of(value: object) -> str:
    """Return a stored name or value as text."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


class RedisReading(NamedTuple):
    """A client, the names of the keys, and where Redis is, without its password."""

    client: Redis
    keys: Keys
    address: str

    def newest_first(
        self, stream: str, *, since_ms: int | None = None, until_ms: int | None = None
    ) -> Iterator[tuple[EntryId, Fields]]:
        """Yield a stream's entries, id and fields, read page by page, between two times of Redis's clock.

        Raises redis.exceptions.RedisError.
        """
        newest = "+" if until_ms is None else str(until_ms)
        oldest = "-" if since_ms is None else str(since_ms)
        while True:
            page: list[tuple[bytes, Fields]] = self.client.xrevrange(  # type: ignore[assignment]
                stream, newest, oldest, count=_PAGE
            )
            for entry_id, fields in page:
                yield EntryId(entry_id.decode()), fields
            if len(page) < _PAGE:
                return
            newest = f"({page[-1][0].decode()}"

    def keys_beginning(self, begins: str) -> list[bytes]:
        """Return the keys with that beginning, sorted. Raises redis.exceptions.RedisError."""
        return sorted(self.client.scan_iter(match=f"{begins}*", count=1000))

    def meaning(self, error: RedisError, doing: str) -> StoreError:
        """Return what an error says, in the service's words; `doing` is the command that was sent."""
        user = self.client.connection_pool.connection_kwargs.get("username")
        return translate(error, user=user or "default", doing=doing)

    def now_ms(self) -> int:
        """Return Redis's clock, epoch milliseconds."""
        return read_time(self.client.time())


@contextmanager
def reading(environ: Mapping[str, str]) -> Iterator[RedisReading]:
    """Open a client for the Redis and the key prefix that `environ` names, as the daemon reads it.

    Raises SettingsError. Nothing is sent before the first command.
    """
    own = settings.load(environ).settings
    with ExitStack() as stack:
        client = _client(own.redis.url(), stack)
        yield RedisReading(client, Keys(own.key_prefix), str(own.redis))


def _client(url: str, stack: ExitStack) -> Redis:
    options = {
        "protocol": 3,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _TIMEOUT_SEC,
        "socket_connect_timeout": _TIMEOUT_SEC,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "decode_responses": False,
        "redis_connect_func": shake_hands_blocking,
    }
    if names_sentinels(url):
        pools = sentinel_pools(redis, url, _TIMEOUT_SEC, options)
        for pool in pools:
            stack.callback(pool.disconnect)
        return Redis.from_pool(pools[0])
    client: Redis = stack.enter_context(Redis.from_url(url, **options))
    return client
