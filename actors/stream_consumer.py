"""Shared by the actors that read a stream: failed attempts by entry, and when entries were published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import trio

from actors.waiting import REDIS_TROUBLE
from brain.moment import Moment
from clocks.clocks import Clocks, ShowsRedisTime
from store.errors import FencedError, GroupLostError
from store.records import Entry

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


#: A blocking read that took longer than a round trip (seconds) waited for what it delivered.
_WAITED_SEC = 0.05
_MOST_REMEMBERED = 4_096


class EntryTimes:
    """Dates the entries that one reader of a consumer group reads.

    An id that is not ahead of Redis's clock is the time of publication. An id ahead of it: what a read waited
    for, when all before it had been delivered, was published as it arrived; what lay there already, not
    before the moment up to which all had been delivered; and where that moment is not known (a start, a
    takeover, another run of Redis) the time of publication is unknown.
    """

    def __init__(self, clocks: Clocks, store: ShowsRedisTime, stream: str) -> None:
        """`stream`: its name without prefix, for people to read."""
        self._clocks = clocks
        self._store = store
        self._stream = stream
        self._behind = True
        self._caught_up_at: Moment | None = None
        self._newest_ms = self._newest_ahead_ms = 0
        #: By entry id: when it was published (Redis's clock), of ids ahead of that clock alone.
        self._published_ms: dict[str, int] = {}

    def begin(self) -> None:
        """Reading begins, or begins again: entries may have come in the meantime."""
        self._behind = True

    def forget(self) -> None:
        """The group, or Redis itself, is another: nothing of what was delivered before counts."""
        self._behind, self._caught_up_at, self._newest_ms = True, None, 0
        self._published_ms.clear()

    def block_ms(self, longest_ms: int) -> int:
        """Return how long the next read may wait: not at all until a read has found no more entries."""
        return 0 if self._behind else longest_ms

    async def delivered(self, entries: Sequence[Entry], sent: Moment, *, full: bool) -> list[Entry]:
        """Return new entries, dated, of a read sent at `sent`; `full`: there may be more where they lay.

        Raises what the store raises.
        """
        received = self._clocks.now()
        waited = not self._behind and received.monotonic_sec - sent.monotonic_sec > _WAITED_SEC
        dated = await self._dated(entries, received if waited else self._caught_up_at)
        self._behind = full
        if not full:
            self._caught_up_at = received
        return dated

    async def recovered(self, entry: Entry) -> Entry:
        """Return an entry that was delivered before, dated. Raises what the store raises."""
        (dated,) = await self._dated([entry], None)
        return dated

    async def _dated(self, entries: Sequence[Entry], not_before: Moment | None) -> list[Entry]:
        if not entries:
            return []
        newest_ms = max(entry.id_ms for entry in entries)
        redis = self._clocks.redis
        if newest_ms > max(self._newest_ahead_ms, redis.at_most_ms(self._clocks.now())):
            # The clock as known may be behind: after a step of Redis's, or where this host was suspended.
            await self._clocks.ask_redis(self._store)
        latest_ms = redis.at_most_ms(self._clocks.now())
        self._newest_ms = max(self._newest_ms, newest_ms)
        self._clocks.saw_id(self._stream, self._newest_ms)
        if newest_ms <= latest_ms:
            return [msgspec.structs.replace(entry, published_ms=entry.id_ms) for entry in entries]
        self._newest_ahead_ms = newest_ms
        arrived_ms = None if not_before is None else redis.now_ms(not_before)
        return [self._date(entry, latest_ms, arrived_ms) for entry in entries]

    def _date(self, entry: Entry, latest_ms: int, arrived_ms: int | None) -> Entry:
        if entry.id_ms <= latest_ms:
            return msgspec.structs.replace(entry, published_ms=entry.id_ms)
        if arrived_ms is not None:
            self._published_ms.setdefault(entry.id, arrived_ms)
            while len(self._published_ms) > _MOST_REMEMBERED:
                del self._published_ms[next(iter(self._published_ms))]
        return msgspec.structs.replace(entry, published_ms=self._published_ms.get(entry.id))
