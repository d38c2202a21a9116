"""Times of publication of entries, whether their ids show them or not. Virtual time."""

from __future__ import annotations

import pytest
import trio

from brain.identifiers import EntryId
from clock import TrioClock
from clocks.clocks import Clocks
from store.entry_times import EntryTimes
from store.records import Entry
from tests.virtual_time import virtual_time

pytestmark = virtual_time

EPOCH_MS = 1_760_000_000_000
HALF_HOUR_MS = 1_800_000


class Redis:
    """A clock to ask."""

    def __init__(self, clock: TrioClock) -> None:
        self._clock = clock
        self.off_ms = 0
        self.asked = 0

    async def redis_now_ms(self) -> int:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        return self.now_ms()

    def now_ms(self) -> int:
        return self._clock.now().wall_ms + self.off_ms


class Reader:
    """Reads that end when the test says so."""

    def __init__(self) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.redis = Redis(self.clock)
        self.clocks = Clocks(self.clock)
        self.times = EntryTimes(self.clocks, self.redis, "apply.plan")
        self._number = 0

    async def start(self) -> None:
        """Reads that Redis is there, and that nothing lies unread."""
        await self.clocks.ask_redis(self.redis)
        await self.read(0)

    async def read(
        self,
        count: int,
        *,
        ahead_ms: int = 0,
        waits_sec: float = 0.0,
        held_up_sec: float = 0.0,
        full: bool = False,
    ) -> list[int | None]:
        """Return the age of each entry of one read (ms)."""
        while (blocks_sec := self.times.block_ms(2_000) / 1000) and waits_sec > blocks_sec:
            sent = self.clock.now()
            await trio.sleep(blocks_sec)
            await self.times.delivered([], sent, full=False)
            waits_sec -= blocks_sec
        sent = self.clock.now()
        await trio.sleep(waits_sec + held_up_sec)
        entries = [self.entry(ahead_ms) for _ in range(count)]
        return self.ages(await self.times.delivered(entries, sent, full=full))

    def entry(self, ahead_ms: int) -> Entry:
        self._number += 1
        return Entry(EntryId(f"{self.redis.now_ms() + ahead_ms}-{self._number}"), {})

    def ages(self, entries: list[Entry]) -> list[int | None]:
        now_ms = self.redis.now_ms()
        return [None if e.published_ms is None else now_ms - e.published_ms for e in entries]


@pytest.fixture
def reader() -> Reader:
    return Reader()


async def test_an_id_in_order_is_the_time_of_publication(reader: Reader) -> None:
    await reader.start()
    assert await reader.read(2, ahead_ms=-3_000) == [3_000, 3_000]
    assert reader.redis.asked == 1


async def test_an_entry_that_was_waited_for_is_new(reader: Reader) -> None:
    await reader.start()
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=1.5) == [0]


async def test_an_entry_that_lay_there_is_as_old_as_the_read_before(reader: Reader) -> None:
    await reader.start()
    await trio.sleep(2.0)
    assert await reader.read(3, ahead_ms=HALF_HOUR_MS) == [2_000] * 3


async def test_while_reads_are_full_nothing_is_new(reader: Reader) -> None:
    await reader.start()
    assert reader.times.block_ms(2_000) == 2_000
    await reader.read(64, full=True)
    assert reader.times.block_ms(2_000) == 0
    await trio.sleep(4.0)
    await reader.read(64, full=True)
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=3.0) == [7_000]
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=3.0) == [0]


async def test_an_entry_that_lay_unread_at_a_start_is_of_unknown_age(reader: Reader) -> None:
    await reader.clocks.ask_redis(reader.redis)
    assert reader.times.block_ms(2_000) == 0
    assert await reader.read(2, ahead_ms=HALF_HOUR_MS, full=True) == [None, None]
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS) == [None]
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=1.0) == [0]


async def test_after_another_run_of_redis_nothing_counts(reader: Reader) -> None:
    await reader.start()
    reader.times.forget()
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS) == [None]


async def test_after_an_outage_entries_are_no_older_than_the_last_read(reader: Reader) -> None:
    await reader.start()
    reader.times.begin()
    await trio.sleep(3.0)
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS) == [3_000]


async def test_an_entry_that_is_delivered_again_keeps_its_time(reader: Reader) -> None:
    await reader.start()
    assert reader.times.block_ms(2_000) == 2_000
    sent, entry = reader.clock.now(), reader.entry(HALF_HOUR_MS)
    await trio.sleep(1.0)
    await reader.times.delivered([entry], sent, full=False)
    await trio.sleep(2.0)
    assert reader.ages([await reader.times.recovered(entry)]) == [2_000]
    assert reader.ages([await reader.times.recovered(reader.entry(HALF_HOUR_MS))]) == [None]


async def test_an_id_that_was_ahead_does_not_become_the_time_when_redis_clock_has_passed_it(
    reader: Reader,
) -> None:
    """Later entries have the same one, until then: of those that lay unread none is as young as it seems."""
    await reader.start()
    assert reader.times.block_ms(2_000) == 2_000
    before, sent, ahead = reader.entry(0), reader.clock.now(), reader.entry(3_000)
    await trio.sleep(1.0)
    await reader.times.delivered([ahead], sent, full=False)
    reader.times.begin()
    await trio.sleep(4.0)
    assert await reader.read(1, ahead_ms=-2_000) == [4_000]
    assert reader.ages([await reader.times.recovered(ahead)]) == [4_000]
    assert reader.ages([await reader.times.recovered(before)]) == [5_000]
    assert await reader.read(1, ahead_ms=-1_999) == [1_999]


async def test_a_stream_that_was_made_anew_begins_with_ids_of_its_own(reader: Reader) -> None:
    await reader.start()
    await reader.read(1, ahead_ms=86_400_000)
    reader.times.forget(stream_is_new=True)
    await reader.read(0)
    await reader.read(1, ahead_ms=10_000)
    continued = reader.entry(10_000)
    await trio.sleep(11.0)
    assert reader.ages([await reader.times.recovered(continued)]) == [None]


async def test_redis_is_asked_before_an_id_counts_as_ahead(reader: Reader) -> None:
    await reader.start()
    reader.redis.off_ms = 7_200_000
    assert await reader.read(1, ahead_ms=-400) == [400], "Redis's clock was set forward"
    assert reader.redis.asked == 2
    await reader.read(1, ahead_ms=HALF_HOUR_MS)
    await reader.read(5, ahead_ms=HALF_HOUR_MS - 1)
    assert reader.redis.asked == 3, "what is known to be ahead costs no more questions"


async def test_a_stream_ahead_is_named(reader: Reader) -> None:
    await reader.start()
    await reader.read(1, ahead_ms=HALF_HOUR_MS)
    assert list(reader.clocks.ids_ahead_sec()) == ["apply.plan"]


async def test_an_id_ahead_in_an_answer_that_was_held_up_is_dated_by_the_sending_of_the_read(
    reader: Reader,
) -> None:
    await reader.start()
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=1.5, held_up_sec=7.0) == [8_500]
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=0.5) == [0]
    assert await reader.read(1, ahead_ms=HALF_HOUR_MS, waits_sec=0.5, held_up_sec=1.2) == [1_700]
