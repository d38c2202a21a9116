"""The fields of a stream's entry, as publishers write them."""

from __future__ import annotations

from decimal import Decimal

from store.memory.memory_redis import MemoryRedis

Fields = dict[str, str]


def plain(value: Decimal) -> str:
    """Return a decimal without an exponent."""
    return f"{value:f}"


def as_entry(fields: Fields) -> dict[str | bytes, str | bytes]:
    """Fields as Redis takes them."""
    return dict(fields.items())


def id_ahead(redis: MemoryRedis, ahead_ms: int) -> str:
    """Return an entry id so far ahead of Redis's clock; for 0, the one that Redis gives by itself."""
    return f"{redis.now_ms() + ahead_ms}-0" if ahead_ms else "*"
