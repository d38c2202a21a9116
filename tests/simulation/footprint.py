"""What a step of a role leaves in Redis besides the keys that are its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from store.memory.memory_redis import MemoryRedis
from store.memory.streams import Stream
from tests.simulation.verdicts import require

T = TypeVar("T")
Mark = object
#: One step in so many is looked at, the first among them: each costs a copy of all keys.
_LOOKED_AT = 4


class Footprint:
    """Compares all keys before and after some of the steps."""

    def __init__(
        self,
        redis: MemoryRedis,
        invariant: str,
        *,
        own: tuple[str, ...],
        appends: Collection[str] = (),
        groups: Collection[tuple[str, str]] = (),
    ) -> None:
        """`own`: beginnings of the names that may change; `appends`: streams that may grow; `groups`: stream
        and group of those that may move."""
        self._redis = redis
        self._invariant = invariant
        self._own = own
        self._appends = frozenset(appends)
        self._groups = frozenset(groups)
        self._steps = 0

    def around(self, writer: str, effect: Callable[[], T]) -> T:
        """Call `effect`. Raises ViolationError where it was looked at, and has changed anything else."""
        self._steps += 1
        if self._steps % _LOOKED_AT != 1:
            return effect()
        before = self._marks()
        answer = effect()
        after = self._marks()
        if before != after:
            names = sorted(before.keys() | after.keys())
            # A stream that is to grow may have been missing.
            nothing: dict[str, Mark] = {name: {} if name in self._appends else None for name in names}
            changed = [
                name for name in names if before.get(name, nothing[name]) != after.get(name, nothing[name])
            ]
            require(not changed, self._invariant, f"{writer} has changed {changed[:5]}")
        return answer

    def _marks(self) -> dict[str, Mark]:
        self._redis.keys()  # drops what has expired
        stored, own = self._redis.keyspace._values, self._own
        # Most values are strings: no call for each of them.
        return {
            key: value if isinstance(value, bytes) else self._mark(key, value)
            for key, value in stored.items()
            if not key.startswith(own)
        }

    def _mark(self, key: str, value: object) -> Mark:
        if isinstance(value, Stream):
            groups = {
                name: (group.last_delivered, frozenset(group.pending))
                for name, group in value.groups.items()
                if (key, name) not in self._groups
            }
            return groups if key in self._appends else (groups, value.last_id, len(value))
        if isinstance(value, dict):
            return dict(value)
        return list(value) if isinstance(value, list) else value
