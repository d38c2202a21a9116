"""Times of publication of a stream's entries, also where ids are ahead of Redis's clock."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import EntryId
from brain.moment import Moment
from clocks.clocks import Clocks, ShowsRedisTime
from store.records import Entry

#: A blocking read that took longer than a round trip (seconds) waited for what it delivered.
_WAITED_SEC = 0.05
#: One that took so much longer than it was to wait was held up on its way (seconds).
_HELD_UP_SEC = 0.5
#: A read waits no longer than this where ids are ahead: so that an answer that was held up is known by it.
_SHORT_BLOCK_MS = 1_000
_MOST_DATED = 4_096


class EntryTimes:
    """Dates the entries that one reader of a consumer group reads.

    An id is the time of publication, except one that is ahead of Redis's clock, or that lies between the
    first and the newest that were read ahead of it: later entries continue an id ahead until the clock has
    passed it. Of an entry with such an id: what a read waited for, when all before it had been delivered, was
    published as it arrived, or, where the answer was held up, as the read was sent; what lay there already,
    not before the moment up to which all had been delivered; and where that moment is not known (a start, a
    takeover, another run of Redis) the time of publication is unknown.
    """

    def __init__(self, clocks: Clocks, store: ShowsRedisTime, stream: str) -> None:
        """`stream`: its name without prefix, for people to read."""
        self._clocks = clocks
        self._store = store
        self.stream = stream
        self._behind = True
        self._blocks_ms = 0
        self._caught_up_at: Moment | None = None
        self._newest_ms = self._first_ahead_ms = self._newest_ahead_ms = 0
        #: By entry id: when it was published (Redis's clock), of ids that are no times alone.
        self._published_ms: dict[EntryId, int] = {}

    def begin(self) -> None:
        """Reading begins, or begins again: entries may have come in the meantime."""
        self._behind = True

    def forget(self, *, stream_is_new: bool = False) -> None:
        """The group, or Redis itself, is another: nothing of what was delivered before counts.

        The ids of a new stream begin anew; those of another run of Redis may go on where they were.
        """
        self._behind, self._caught_up_at, self._newest_ms = True, None, 0
        if stream_is_new:
            self._first_ahead_ms = self._newest_ahead_ms = 0
        self._published_ms.clear()

    def block_ms(self, longest_ms: int) -> int:
        """Return how long the next read may wait: not at all until a read has found no more entries."""
        self._blocks_ms = min(longest_ms, _SHORT_BLOCK_MS) if self._ids_are_ahead() else longest_ms
        if self._behind:
            self._blocks_ms = 0
        return self._blocks_ms

    async def delivered(self, entries: Sequence[Entry], sent: Moment, *, full: bool) -> list[Entry]:
        """Return new entries, dated, of a read sent at `sent`; `full`: there may be more where they lay.

        Raises what the store raises.
        """
        received = self._clocks.now()
        took_sec = received.monotonic_sec - sent.monotonic_sec
        waited = not self._behind and took_sec > _WAITED_SEC
        # Redis has answered in time: what a held-up answer brings may be as old as the read.
        held_up = took_sec > self._blocks_ms / 1000 + _HELD_UP_SEC
        arrived = sent if held_up else received
        dated = await self._dated(entries, arrived if waited else self._caught_up_at)
        self._behind = full
        if not full:
            self._caught_up_at = arrived
        return dated

    def _ids_are_ahead(self) -> bool:
        redis = self._clocks.redis
        return redis.known and self._newest_ahead_ms > redis.at_most_ms(self._clocks.now())

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
        self._clocks.saw_id(self.stream, self._newest_ms)
        if newest_ms > latest_ms:
            if self._newest_ahead_ms <= latest_ms:
                self._first_ahead_ms = min(entry.id_ms for entry in entries if entry.id_ms > latest_ms)
            self._newest_ahead_ms = max(newest_ms, self._newest_ahead_ms)
        arrived_ms = None if not_before is None else redis.now_ms(not_before)
        return [self._date(entry, latest_ms, arrived_ms) for entry in entries]

    def _date(self, entry: Entry, latest_ms: int, arrived_ms: int | None) -> Entry:
        was_ahead = self._first_ahead_ms <= entry.id_ms <= self._newest_ahead_ms
        if entry.id_ms <= latest_ms and not was_ahead:
            return msgspec.structs.replace(entry, published_ms=entry.id_ms)
        if arrived_ms is not None:
            self._published_ms.setdefault(entry.id, arrived_ms)
            while len(self._published_ms) > _MOST_DATED:
                del self._published_ms[next(iter(self._published_ms))]
        return msgspec.structs.replace(entry, published_ms=self._published_ms.get(entry.id))
