"""Times of publication of stream entries, by Redis's clock, even where their ids are ahead of it.

An id is Redis's clock, but never below the id before it. Where the clock was set back, or one entry was given
an explicit id, all ids until then are ahead of the clock and show no time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.moment import Moment
from clocks.clocks import Clocks, ShowsRedisTime
from store.records import Entry

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
