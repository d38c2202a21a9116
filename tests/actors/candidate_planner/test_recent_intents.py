"""However many intents there are: each is read once, the newest first, a page at a time."""

from __future__ import annotations

import pytest
import trio

from actors.candidate_planner.recent_intents import RecentIntents
from clock import TrioClock
from store.errors import StoreUnavailableError
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.records import Entry
from tests.actors.dictated_exchange import EPOCH_MS
from tests.virtual_time import virtual_time

pytestmark = virtual_time

WINDOW_SEC = 1800.0
KNOWN = ("AAAUSDT", "BBBUSDT", "CCCUSDT")


class CountedStore(MemoryStore):
    """The twin, with the ids that were read of pages, and the sizes of those."""

    def __init__(self, redis: MemoryRedis) -> None:
        super().__init__(redis, keys=Keys("quantum"), consumer="me")
        self.ids: list[str] = []
        self.pages: list[int] = []

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        entries = await super().recent_intents(after, before, count)
        if count > 1:
            self.ids += [entry.id for entry in entries]
            self.pages.append(len(entries))
        return entries


class Rig:
    def __init__(self) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.store = CountedStore(self.redis)
        self.intents = RecentIntents(self.store, WINDOW_SEC)
        self.published: list[str] = []

    def publish(self, *symbols: str) -> None:
        for symbol in symbols:
            self.published.append(self.redis.xadd("quantum:stream:trade.intent", {"symbol": symbol}))

    async def look(self) -> list[str]:
        """The symbols, that of the newest intent first."""
        await self.intents.look(self.clock.now().wall_ms, KNOWN)
        newest_ms = self.intents.newest_ms
        return sorted(newest_ms, key=lambda symbol: -newest_ms[symbol])

    async def catch_up(self) -> list[str]:
        symbols = await self.look()
        while self.intents.behind:
            symbols = await self.look()
        return symbols


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_full_window_is_read_once_in_pages_and_over_several_looks(rig: Rig) -> None:
    rig.publish("AAAUSDT")
    await trio.sleep(1)
    rig.publish(*["NOPEUSDT"] * 50_000)
    begun_sec = trio.current_time()
    assert await rig.look() == []
    assert rig.intents.behind
    assert trio.current_time() - begun_sec <= 1.1
    assert await rig.catch_up() == ["AAAUSDT"]
    assert max(rig.store.pages) <= 200
    assert sorted(rig.store.ids) == sorted(rig.published)
    rig.store.ids.clear()
    rig.publish("BBBUSDT")
    assert await rig.catch_up() == ["BBBUSDT", "AAAUSDT"]
    assert rig.store.ids == rig.published[-1:]
    assert await rig.catch_up() == ["BBBUSDT", "AAAUSDT"]
    assert rig.store.ids == rig.published[-1:]


async def test_intents_published_while_old_ones_are_read_come_before_them(rig: Rig) -> None:
    rig.publish("AAAUSDT")
    await trio.sleep(1)
    rig.publish(*["NOPEUSDT"] * 90_000)
    await rig.look()
    for number in range(3):
        await trio.sleep(1)
        rig.publish(KNOWN[1 + number % 2])
        assert (await rig.look())[0] == KNOWN[1 + number % 2]
        assert rig.intents.behind
    assert await rig.catch_up() == ["BBBUSDT", "CCCUSDT", "AAAUSDT"]
    assert sorted(rig.store.ids) == sorted(rig.published)


async def test_symbols_that_the_exchange_does_not_know_take_no_memory(rig: Rig) -> None:
    rig.publish(*(f"N{number}USDT" for number in range(1000)))
    assert await rig.catch_up() == []
    assert dict(rig.intents.newest_ms) == {}


async def test_reading_ends_where_everything_older_can_change_nothing(rig: Rig) -> None:
    rig.publish(*["AAAUSDT"] * 5_000)
    await trio.sleep(1)
    rig.publish(*KNOWN)
    await rig.look()
    assert not rig.intents.behind
    assert len(rig.store.ids) == 200


async def test_a_failure_loses_no_intent_and_reads_none_twice(rig: Rig) -> None:
    rig.publish("AAAUSDT", *["NOPEUSDT"] * 999)
    rig.store.faults.fail_next("before", method="recent_intents")
    with pytest.raises(StoreUnavailableError):
        await rig.look()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_fail_soon, rig)
        with pytest.raises(StoreUnavailableError):
            await rig.look()
    assert 0 < len(rig.store.ids) < 1000
    assert await rig.catch_up() == ["AAAUSDT"]
    assert sorted(rig.store.ids) == sorted(rig.published)


async def _fail_soon(rig: Rig) -> None:
    await trio.sleep(0.015)
    rig.store.faults.fail_next("before", method="recent_intents")


async def test_intents_leave_the_window_and_are_not_read_from_before_it(rig: Rig) -> None:
    rig.publish("AAAUSDT")
    await trio.sleep(WINDOW_SEC + 1)
    assert await rig.look() == []
    assert rig.store.ids == []
    rig.publish("BBBUSDT")
    assert await rig.look() == ["BBBUSDT"]
    await trio.sleep(WINDOW_SEC + 1)
    assert await rig.look() == []


async def test_a_stream_that_begins_anew_with_lower_ids_is_read(rig: Rig) -> None:
    await trio.sleep(10)
    rig.publish("AAAUSDT")
    assert await rig.look() == ["AAAUSDT"]
    rig.redis.flushall()
    rig.clock.epoch_ms -= 20_000
    rig.publish("BBBUSDT")
    assert "BBBUSDT" in await rig.look()


async def test_an_id_ahead_of_the_clock_is_read_once_and_is_of_now(rig: Rig) -> None:
    rig.clock.epoch_ms += 3_600_000
    rig.publish("AAAUSDT")
    rig.clock.epoch_ms -= 3_600_000
    rig.publish("BBBUSDT")
    assert sorted(await rig.look()) == ["AAAUSDT", "BBBUSDT"]
    await rig.look()
    assert len(rig.store.ids) == 2
    assert set(rig.intents.newest_ms.values()) == {EPOCH_MS}
    await trio.sleep(WINDOW_SEC + 1)
    assert await rig.look() == []


async def test_a_symbol_that_is_no_longer_known_is_dropped(rig: Rig) -> None:
    rig.publish("AAAUSDT", "BBBUSDT")
    await rig.look()
    await rig.intents.look(EPOCH_MS, ("BBBUSDT",))
    assert list(rig.intents.newest_ms) == ["BBBUSDT"]
