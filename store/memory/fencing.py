"""The lease (`hold_lease.lua`, `release_lease.lua`), and the check that begins every other script."""

from __future__ import annotations

import re

from brain.identifiers import FencingToken
from store.errors import FencedError, StoreRefusedError
from store.keys import Keys
from store.memory.keyspace import Keyspace
from store.records import LeaseReply
from store.stored_values import read_lease

_LEASE = re.compile(rb"[0-9]+(?:@([^:]*))?:(.*)", re.DOTALL)
_TOKEN = re.compile(rb"[0-9]+")
_WHOLE = re.compile(rb"-?[0-9]{1,18}")


def check_fence(redis: Keyspace, keys: Keys, fence: FencingToken) -> None:
    """Raise FencedError unless `fence` is the current lease."""
    if redis.text(keys.lease) != fence.encode():
        raise FencedError(f"FENCED the lease is not {fence}")


def hold_lease(
    redis: Keyspace, keys: Keys, instance: str, process: str, fence: FencingToken | None, ttl_ms: int
) -> LeaseReply:
    """Renew the lease, or take it where it is free, this process's, or (without a fence) the instance's."""
    before = redis.text(keys.lease)
    if before is not None:
        if fence and before == fence.encode():
            redis.expire(keys.lease, ttl_ms)
            return read_lease(before, held=True)
        found = _LEASE.fullmatch(before)
        own = found is not None and process != "" and found[1] == process.encode()
        if found is None or found[2] != instance.encode() or not (own or not fence):
            return read_lease(before, held=False)
    last = redis.text(keys.fence)
    if last is not None and not _WHOLE.fullmatch(last):
        raise StoreRefusedError("ERR value is not an integer or out of range")
    held_before = _TOKEN.match((fence or "").encode())
    unbroken = held_before is not None and held_before[0] == last
    token = max(int(last or 0) + 1, redis.now_ms())
    redis.set(keys.fence, str(token))
    lease = f"{token}{process and '@' + process}:{instance}".encode()
    redis.set(keys.lease, lease, ttl_ms=ttl_ms)
    return read_lease(lease, held=True, replaced=before or b"", unbroken=unbroken)


def release_lease(redis: Keyspace, keys: Keys, fence: FencingToken) -> None:
    """Delete the lease if `fence` still owns it."""
    if redis.text(keys.lease) == fence.encode():
        redis.delete(keys.lease)
