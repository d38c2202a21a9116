"""The history: a slot for each minute of the day, written once by the holder of the lease."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.history import LONGEST_TEXT, MINUTES_KEPT
from brain.positions.exposure import Exposure
from store.errors import StoreRefusedError
from store.keys import HISTORY_TTL_MS
from tests.store.backends import KEYS, Backend, MemoryBackend, everything
from tests.store.history_examples import FIRST, a_minute


async def test_minutes_come_back_in_order_and_gaps_stay_gaps(leased: Backend) -> None:
    wanted = [a_minute(FIRST + ahead) for ahead in (0, 1, 3)]
    for minute in reversed(wanted):
        assert await leased.store.write_minute(leased.fence, minute)
    assert await leased.store.minutes(FIRST - 5, FIRST + 5) == wanted
    assert await leased.store.minutes(FIRST + 1, FIRST + 2) == [wanted[1]]


async def test_a_minute_that_was_not_observed_in_part_keeps_its_gaps(leased: Backend) -> None:
    bare = a_minute(allowed={}, denied={}, latency_ms=None, oldest_age_sec=None, weight=0, exposure=None)
    await leased.store.write_minute(leased.fence, bare)
    assert await leased.store.minutes(FIRST, FIRST) == [bare]


async def test_a_minute_that_is_stored_stays_as_it_was_written_first(leased: Backend) -> None:
    assert await leased.store.write_minute(leased.fence, a_minute())
    assert not await leased.store.write_minute(leased.fence, a_minute(weight=7))
    assert await leased.store.minutes(FIRST, FIRST) == [a_minute()]


async def test_the_same_minute_of_the_next_day_takes_the_slot(leased: Backend) -> None:
    await leased.store.write_minute(leased.fence, a_minute())
    assert await leased.store.write_minute(leased.fence, a_minute(FIRST + MINUTES_KEPT))
    assert await leased.store.minutes(FIRST, FIRST) == []
    assert await leased.store.minutes(FIRST, FIRST + MINUTES_KEPT) == [a_minute(FIRST + MINUTES_KEPT)]
    assert len(leased.outside.hgetall(KEYS.history)) == 1


async def test_a_full_day_stays_within_its_slots_and_a_mebibyte(memory: MemoryBackend) -> None:
    reasons = {f"a_reason_with_a_long_name_of_its_own_{number:02d}": 10**6 + number for number in range(40)}
    store, fence = memory.store, await memory.take_lease()
    for ahead in range(MINUTES_KEPT + 60):
        await store.write_minute(fence, a_minute(FIRST + ahead, allowed=reasons, denied=reasons))
    stored = memory.outside.hgetall(KEYS.history)
    assert len(stored) == MINUTES_KEPT
    assert max(map(len, stored.values())) <= LONGEST_TEXT
    assert sum(len(slot) + len(text) for slot, text in stored.items()) <= 1 << 20
    kept = await store.minutes(0, FIRST + MINUTES_KEPT + 59)
    assert [each.number for each in kept] == list(range(FIRST + 60, FIRST + 60 + MINUTES_KEPT))
    assert {sum(each.denied.values()) for each in kept} == {sum(reasons.values())}


async def test_a_read_of_a_day_goes_over_all_of_its_slots(leased: Backend) -> None:
    wanted = [a_minute(FIRST + ahead) for ahead in (0, 239, 240, 1439)]
    for minute in wanted:
        await leased.store.write_minute(leased.fence, minute)
    assert await leased.store.minutes(0, FIRST + 1439) == wanted


async def test_an_exposure_larger_than_any_account_is_not_written(leased: Backend) -> None:
    huge = Exposure(Decimal("1E+20"), Decimal(0), Decimal(0), 0)
    await leased.store.write_minute(leased.fence, a_minute(exposure=huge))
    assert await leased.store.minutes(FIRST, FIRST) == [a_minute(exposure=None)]


async def test_the_history_lives_26_hours_after_its_latest_minute(leased: Backend) -> None:
    await leased.store.write_minute(leased.fence, a_minute())
    leased.outside.pexpire(KEYS.history, 60_000)
    await leased.store.write_minute(leased.fence, a_minute(FIRST + 1))
    assert HISTORY_TTL_MS - 10_000 < leased.outside.pttl(KEYS.history) <= HISTORY_TTL_MS


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"m":%d,"s":-1}' % FIRST, b'{"m":%d,"s":1e400}' % FIRST,
        b'{"m":%d,"s":1,"x":["1e999","NaN","0",0]}' % FIRST, b'{"m":%d,"s":1,"p":[1,2]}' % FIRST,
        b'{"m":%d,"s":1,"o":1e308}' % FIRST, b'{"m":%d,"s":1,"d":{"%s":1}}' % (FIRST, b"x" * 1000),
    ],
)  # fmt: skip
async def test_a_slot_that_others_wrote_is_left_out_and_the_rest_is_read(
    leased: Backend, text: bytes
) -> None:
    await leased.store.write_minute(leased.fence, a_minute(FIRST + 1))
    leased.outside.hset(KEYS.history, {str(FIRST % MINUTES_KEPT): text, "no slot": "x"})
    assert await leased.store.minutes(FIRST, FIRST + 1) == [a_minute(FIRST + 1)]


async def test_a_history_of_another_type_is_refused_and_left_alone(leased: Backend) -> None:
    leased.outside.set(KEYS.history, "mine")
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError, match="history"):
        await leased.store.write_minute(leased.fence, a_minute())
    with pytest.raises(StoreRefusedError, match="history"):
        await leased.store.minutes(FIRST, FIRST)
    assert everything(leased.outside) == before
