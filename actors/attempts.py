"""How often work on an entry was begun and not ended. Outlives the actor whose failures it counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio

from actors.redis_trouble import REDIS_TROUBLE
from store.errors import FencedError, GroupLostError

#: What ends work on an entry for a reason outside of it: the actor is stopped, a dependency is away, the
#: lease or the group is lost.
_INTERRUPTIONS = (trio.Cancelled, *REDIS_TROUBLE, FencedError, GroupLostError)
#: Many times what is ever in hand at once.
_MOST_REMEMBERED = 10_000


class Attempts:
    """Counts by entry id; what is done, or was only interrupted, is forgotten."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin(self, entry_id: str) -> int:
        """Work on an entry begins; how many attempts at it have failed before."""
        failed = self._begun.get(entry_id, 0)
        self._begun[entry_id] = failed + 1
        return failed

    def has_failed(self, entry_id: str) -> bool:
        """Whether an attempt at an entry that is not in hand has failed before."""
        return entry_id in self._begun

    def put_off(self, entry_id: str) -> None:
        """What was begun is not tried now after all."""
        begun = self._begun.pop(entry_id)
        if begun > 1:
            self._begun[entry_id] = begun - 1

    @contextmanager
    def waiting(self, entry_id: str) -> Iterator[None]:
        """While work on an entry waits for the exchange, an end of the actor is no failure of the entry."""
        begun = self._begun[entry_id]
        self.put_off(entry_id)
        try:
            yield
        except trio.Cancelled:
            raise
        except BaseException:
            self._begun[entry_id] = begun
            raise
        self._begun[entry_id] = begun

    def done(self, entry_id: str) -> None:
        """The entry is dealt with."""
        self._begun.pop(entry_id, None)

    def interrupted(self) -> None:
        """What is begun was given up for a reason outside of it: a dependency is away, the lease is lost."""
        self._begun.clear()


class Failures:
    """How often work on an entry has failed by an error of its own; it must not fail for ever.

    Of deliveries from before this process began nobody knows how they ended: they count as failures. In
    its own life an entry that was in hand while something else crashed has not failed.
    """

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    def of(self, entry_id: str, deliveries: int) -> int:
        """The failures of an entry that is now delivered for the `deliveries`-th time (1: new)."""
        failed = self._failed.setdefault(entry_id, deliveries - 1)
        if len(self._failed) > _MOST_REMEMBERED:
            # What Redis lost, or answered to nobody, is never done.
            del self._failed[next(iter(self._failed))]
        return failed

    @property
    def any(self) -> bool:
        """Whether work on an entry that is not dealt with has failed."""
        return any(self._failed.values())

    @contextmanager
    def blamed_on(self, entry_ids: Sequence[str]) -> Iterator[None]:
        """An error out of the block is a failure of each of these entries; an interruption is of none."""
        try:
            yield
        except _INTERRUPTIONS:
            raise
        except Exception:
            for entry_id in entry_ids:
                self._failed[entry_id] = self._failed.get(entry_id, 0) + 1
            raise

    def done(self, entry_id: str) -> None:
        """The entry is dealt with."""
        self._failed.pop(entry_id, None)
