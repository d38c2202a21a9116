"""Whether a Redis keeps what it acknowledges: that a plan is allowed at most once rests on it."""

from __future__ import annotations

import msgspec


class Durability(msgspec.Struct, frozen=True):
    """A Redis's append-only file, its eviction policy, and the keys it has evicted since it was started.

    Source: Redis, `INFO` (`aof_enabled`, `maxmemory_policy`, `evicted_keys`).
    """

    append_only: bool
    maxmemory_policy: str
    evicted_keys: int

    @property
    def may_evict(self) -> bool:
        """Return True if a full Redis deletes keys instead of refusing writes."""
        return self.maxmemory_policy != "noeviction"
