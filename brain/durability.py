"""Persistence of Redis: at-most-once permits need acknowledged writes to be kept."""

from __future__ import annotations

import msgspec


class Durability(msgspec.Struct, frozen=True):
    """Redis's append-only file, eviction policy, and number of keys evicted since its start.

    Source: Redis, `INFO` (`aof_enabled`, `maxmemory_policy`, `evicted_keys`).
    """

    append_only: bool
    maxmemory_policy: str
    evicted_keys: int

    @property
    def may_evict(self) -> bool:
        """Return True if a full Redis deletes keys instead of refusing writes."""
        return self.maxmemory_policy != "noeviction"
