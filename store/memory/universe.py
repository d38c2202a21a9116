"""The universe's publisher (`published_universe.lua`, `publish_universe.lua`)."""

from __future__ import annotations

from brain.identifiers import FencingToken
from store.errors import WrongTypeError
from store.keys import Keys, UniverseNames
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.universe_records import PublishedUniverse, UniverseWrite

_LONGEST_EVENTS = 10_000
_LONGEST_AUDIT = 200


def published_universe(redis: Keyspace, keys: Keys, *, shadow: bool) -> PublishedUniverse:
    """Return what was published last."""
    names = UniverseNames(keys.prefix, shadow=shadow)
    return PublishedUniverse(
        redis.text(names.active),
        redis.text(names.last_ok),
        dict(redis.hash(names.meta)) or None,
        redis.text(names.closing),
        redis.text(names.volumes),
    )


def publish_universe(
    redis: Keyspace,
    keys: Keys,
    fence: FencingToken,
    write: UniverseWrite,
    *,
    rests_on: bytes | None,
    shadow: bool,
) -> bool:
    """Write all of it, or nothing where `last_ok` is not what it rests on."""
    check_fence(redis, keys, fence)
    names = UniverseNames(keys.prefix, shadow=shadow)
    _check_types(redis, names)
    if (redis.text(names.last_ok) or b"") != (rests_on or b""):
        return False
    if write.audit:
        redis.xadd(names.audit, paired(write.audit), max_len=_LONGEST_AUDIT)
    for change in write.events:
        redis.xadd(names.events, paired(change), max_len=_LONGEST_EVENTS)
    if write.volumes:
        redis.set(names.volumes, write.volumes, ttl_ms=write.volumes_ttl_ms)
    if write.closing:
        redis.set(names.closing, write.closing)
    if write.last_ok:
        redis.set(names.last_ok, write.last_ok)
    if write.meta:
        redis.hset(names.meta, write.meta)
    if write.active:
        redis.set(names.active, write.active, ttl_ms=write.active_ttl_ms)
    elif write.active_ttl_ms > 0:
        redis.expire(names.active, write.active_ttl_ms)
    return True


def _check_types(redis: Keyspace, names: UniverseNames) -> None:
    kinds = dict.fromkeys((names.active, names.last_ok, names.closing, names.volumes), "string")
    for key, wanted in {**kinds, names.meta: "hash", names.events: "stream", names.audit: "stream"}.items():
        if (kind := redis.kind(key)) not in (wanted, "none"):
            raise WrongTypeError(f"WRONGTYPE {key} is a {kind}, not a {wanted}")
