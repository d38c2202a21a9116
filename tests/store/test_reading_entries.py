"""New entries, pending ones, and groups that come and go. Plans and results are read alike."""

from __future__ import annotations

import pytest
import trio

from store.errors import GroupLostError, StoreRefusedError
from store.keys import GROUP
from store.records import Entry
from tests.store.backends import KEYS, Backend, everything
from tests.store.sides import Side, publish


async def test_entries_come_in_order_with_their_fields_as_bytes(side: Side) -> None:
    await side.create()
    first = side.outside.xadd(side.stream, {"plan_id": "a", "junk": b"\xff\x00", b"\xfe": ""})
    second = side.outside.xadd(side.stream, {"plan_id": "b"})
    assert await side.new() == [
        Entry(first, {b"plan_id": b"a", b"junk": b"\xff\x00", b"\xfe": b""}),
        Entry(second, {b"plan_id": b"b"}),
    ]
    assert side.pending() == {first: ("first", 1), second: ("first", 1)}


async def test_no_more_entries_than_asked_for_come_at_once_and_none_comes_twice(side: Side) -> None:
    await side.create()
    ids = side.publish("a", "b", "c")
    other = side.backend.another_store("second")
    assert [entry.id for entry in await side.new(count=2)] == ids[:2]
    assert [entry.id for entry in await side.new(count=2, by=other)] == ids[2:]
    assert await side.new() == []


async def test_an_entry_that_was_deleted_before_it_was_read_never_comes(side: Side) -> None:
    await side.create()
    first, second = side.publish("a", "b")
    side.outside.xdel(side.stream, first)
    assert [entry.id for entry in await side.new()] == [second]


async def test_an_id_has_the_time_of_publication(side: Side) -> None:
    await side.create()
    side.publish("a")
    (entry,) = await side.new()
    assert 0 <= await side.store.redis_now_ms() - entry.id_ms < 5_000


async def test_a_read_that_may_not_block_answers_at_once(side: Side) -> None:
    await side.create()
    with trio.fail_after(2):
        assert await side.new(block_ms=0) == []


async def test_a_read_waits_for_the_first_entry(side: Side) -> None:
    await side.create()
    came: list[Entry] = []

    async def read() -> None:
        came.extend(await side.new(block_ms=2_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await side.backend.until_a_read_blocks()
        (entry_id,) = side.publish("a")
    assert [entry.id for entry in came] == [entry_id]


async def test_a_read_of_a_quiet_stream_ends_with_nothing(side: Side) -> None:
    await side.create()
    assert await side.new(block_ms=20) == []


async def test_a_cancelled_read_leaves_the_connection_in_order(side: Side) -> None:
    await side.create()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: side.new(block_ms=2_000))
        await side.backend.until_a_read_blocks()
        nursery.cancel_scope.cancel()
    (entry_id,) = side.publish("a")
    with trio.fail_after(5):
        read = await side.new(block_ms=100)
    assert [entry.id for entry in read] == [entry_id] or entry_id in side.pending()


async def test_a_new_group_begins_now_and_a_lost_one_misses_nothing_since(side: Side) -> None:
    before = side.outside.xadd(side.stream, {"plan_id": "before"}, entry_id="1-1")
    await side.create()
    (after,) = side.publish("after")
    assert [entry.id for entry in await side.new()] == [after]
    side.outside.xgroup_destroy(side.stream, GROUP)
    await side.create(lost=True)
    again = [entry.id for entry in await side.new()]
    # Plans are read from the start: a mark says of each whether it was decided.
    assert again == ([before, after] if side.stream == KEYS.plans else [after])


async def test_a_result_group_that_vanished_while_no_process_ran_begins_where_it_began(
    backend: Backend,
) -> None:
    backend.outside.xadd(KEYS.results, {"plan_id": "from before our time"}, entry_id="1-1")
    await backend.store.results.create(lost=False)
    backend.outside.xgroup_destroy(KEYS.results, GROUP)
    (missed,) = publish(backend.outside, KEYS.results, "missed")
    await backend.store.results.create(lost=False)
    assert [entry.id for entry in await backend.store.results.read_new(count=10, block_ms=0)] == [missed]


async def test_a_plan_group_that_vanished_while_no_process_ran_begins_at_the_start(backend: Backend) -> None:
    publish(backend.outside, KEYS.plans, "from before our time")
    await backend.store.plans.create(lost=False)
    await backend.store.redis_run(None)  # as the evaluator does when it begins
    backend.outside.xgroup_destroy(KEYS.plans, GROUP)
    (missed,) = publish(backend.outside, KEYS.plans, "missed")
    await backend.store.plans.create(lost=False)
    assert missed in [entry.id for entry in await backend.store.plans.read_new(count=10, block_ms=0)]


async def test_a_group_that_exists_stays_as_it_is(side: Side) -> None:
    await side.create()
    side.publish("a")
    await side.new()
    before = everything(side.outside)
    await side.create(lost=False)
    await side.create(lost=True)
    assert everything(side.outside) == before
    assert await side.new() == []


async def test_a_group_makes_its_stream(side: Side) -> None:
    await side.create()
    assert side.outside.kind(side.stream) == "stream"
    assert side.outside.xlen(side.stream) == 0


async def test_a_stream_of_a_wrong_type_is_refused(side: Side) -> None:
    side.outside.set(side.stream, "x")
    with pytest.raises(StoreRefusedError):
        await side.create()
    with pytest.raises(StoreRefusedError):
        await side.new()
    with pytest.raises(StoreRefusedError):
        await side.recover()


@pytest.mark.parametrize("there", [True, False], ids=["a stream without group", "no stream"])
async def test_without_its_group_a_read_says_so(side: Side, there: bool) -> None:
    if there:
        side.publish("a")
    with pytest.raises(GroupLostError):
        await side.new()
    with pytest.raises(GroupLostError):
        await side.new(block_ms=50)
    with pytest.raises(GroupLostError):
        await side.recover()


@pytest.mark.parametrize("loss", ["flush", "stream deleted", "group destroyed"])
async def test_a_group_lost_under_a_blocked_read_is_noticed_by_it_or_by_the_next(
    side: Side, loss: str
) -> None:
    await side.create()
    noticed: list[GroupLostError] = []

    async def read_on() -> None:
        try:
            while True:
                assert await side.new(block_ms=100) == []
        except GroupLostError as error:
            noticed.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_on)
        await side.backend.until_a_read_blocks()
        if loss == "flush":
            side.outside.flushall()
        elif loss == "stream deleted":
            side.outside.delete(side.stream)
        else:
            side.outside.xgroup_destroy(side.stream, GROUP)
    assert len(noticed) == 1


async def test_entries_published_after_a_flush_are_found_by_the_group_made_again(side: Side) -> None:
    await side.create()
    side.outside.flushall()
    (entry_id,) = side.publish("a")
    await side.create(lost=True)
    assert [entry.id for entry in await side.new()] == [entry_id]


async def test_the_result_group_begins_behind_the_last_booked_result(backend: Backend) -> None:
    ids = publish(backend.outside, KEYS.results, "a", "b", "c")
    backend.outside.set(KEYS.last_result_id, ids[0])
    await backend.store.results.create(lost=False)
    assert [entry.id for entry in await backend.store.results.read_new(count=9, block_ms=0)] == ids[1:]


@pytest.mark.parametrize("junk", [b"", b"\xff", b"yesterday", b"1-", b"1" * 30 + b"-0"])
async def test_the_result_group_begins_at_the_start_where_the_last_booked_one_cannot_be_read(
    backend: Backend, junk: bytes
) -> None:
    ids = publish(backend.outside, KEYS.results, "a", "b")
    backend.outside.set(KEYS.last_result_id, junk)
    await backend.store.results.create(lost=False)
    assert [entry.id for entry in await backend.store.results.read_new(count=9, block_ms=0)] == ids


async def test_the_result_group_begins_at_the_start_where_the_last_booked_one_is_ahead_of_redis(
    backend: Backend,
) -> None:
    ids = publish(backend.outside, KEYS.results, "a", "b")
    ahead_ms = await backend.store.redis_now_ms() + 1_800_000
    backend.outside.set(KEYS.last_result_id, f"{ahead_ms}-0")
    await backend.store.results.create(lost=True)
    assert [entry.id for entry in await backend.store.results.read_new(count=9, block_ms=0)] == ids


async def test_ids_are_never_below_the_one_before(side: Side) -> None:
    await side.create()
    ahead_ms = await side.store.redis_now_ms() + 1_800_000
    ids = [
        side.outside.xadd(side.stream, {"a": "b"}),
        side.outside.xadd(side.stream, {"a": "b"}, entry_id=f"{ahead_ms}-3"),
        side.outside.xadd(side.stream, {"a": "b"}),
    ]
    assert ids[1:] == [f"{ahead_ms}-3", f"{ahead_ms}-4"]
    assert [entry.id for entry in await side.new()] == ids


async def test_a_last_booked_result_of_a_wrong_type_is_refused(backend: Backend) -> None:
    backend.outside.hset(KEYS.last_result_id, {"a": "b"})
    with pytest.raises(StoreRefusedError):
        await backend.store.results.create(lost=False)
