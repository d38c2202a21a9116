"""Entries that were delivered and not acknowledged."""

from __future__ import annotations

from store.records import Entry
from tests.store.sides import Side


async def test_the_oldest_pending_entry_is_claimed_and_counted_each_time(side: Side) -> None:
    await side.create()
    first, second = side.publish("a", "b")
    await side.new()
    assert await side.recover() == Entry(first, {b"plan_id": b"a"}, 2)
    assert await side.recover() == Entry(first, {b"plan_id": b"a"}, 3)
    assert await side.recover(after=first) == Entry(second, {b"plan_id": b"b"}, 2)
    assert await side.recover(after=second) is None
    assert side.pending() == {first: ("first", 3), second: ("first", 2)}


async def test_an_undelivered_entry_is_not_pending(side: Side) -> None:
    await side.create()
    side.publish("a")
    assert await side.recover() is None


async def test_another_consumers_entries_are_claimed_too(side: Side) -> None:
    await side.create()
    (entry_id,) = side.publish("a")
    await side.new(by=side.backend.another_store("dead"))
    assert side.pending() == {entry_id: ("dead", 1)}
    entry = await side.recover()
    assert entry is not None
    assert entry.deliveries == 2
    assert side.pending() == {entry_id: ("first", 2)}


async def test_only_what_lay_idle_long_enough_is_claimed_and_a_claim_begins_anew(side: Side) -> None:
    await side.create()
    first, second = side.publish("a", "b")
    await side.new()
    assert await side.recover(idle_ms=5_000) is None
    await side.backend.pass_ms(200)
    claimed = await side.recover(idle_ms=200)
    assert claimed is not None
    assert claimed.id == first
    claimed = await side.recover(idle_ms=200)
    assert claimed is not None
    assert claimed.id == second
    assert await side.recover(idle_ms=200) is None


async def test_an_entry_deleted_while_pending_is_reported_until_it_is_acknowledged(side: Side) -> None:
    await side.create()
    first, second = side.publish("a", "b")
    await side.new()
    side.outside.xdel(side.stream, first)
    assert await side.recover() == Entry(first, None, 2)
    assert await side.recover() == Entry(first, None, 2)
    assert await side.recover(after=first) == Entry(second, {b"plan_id": b"b"}, 2)
    if not side.results:
        await side.store.plans.acknowledge(side.backend.fence, [first])
        assert list(side.pending()) == [second]


async def test_entries_trimmed_away_while_pending_are_recovered_one_by_one(side: Side) -> None:
    await side.create()
    ids = side.publish("a", "b", "c")
    await side.new()
    for entry_id in ids:
        side.outside.xdel(side.stream, entry_id)
    after = "0"
    for entry_id in ids:
        entry = await side.recover(after=after)
        assert entry == Entry(entry_id, None, 2)
        after = entry_id
    assert await side.recover(after=after) is None


async def test_as_many_as_wanted_are_claimed_at_once_oldest_first(side: Side) -> None:
    await side.create()
    ids = side.publish(*"abcde")
    await side.new()
    side.outside.xdel(side.stream, ids[1])
    assert await side.recover_some(count=3) == [
        Entry(ids[0], {b"plan_id": b"a"}, 2), Entry(ids[1], None, 2), Entry(ids[2], {b"plan_id": b"c"}, 2),
    ]  # fmt: skip
    assert [entry.id for entry in await side.recover_some(after=ids[2])] == ids[3:]
    assert await side.recover_some(after=ids[4]) == []
    # The deleted one is listed, not claimed: to claim it would be to lose it.
    assert {entry_id: count for entry_id, (_, count) in side.pending().items()} == {
        ids[0]: 2, ids[1]: 1, ids[2]: 2, ids[3]: 2, ids[4]: 2,
    }  # fmt: skip


async def test_a_plan_that_was_delivered_more_than_once_comes_alone_and_a_result_with_the_rest(
    side: Side,
) -> None:
    await side.create()
    ids = side.publish(*"abcde")
    await side.new()
    await side.recover(after=ids[1])  # c is delivered for the second time
    await side.recover(after=ids[2])  # d as well
    found, after = [], "0"
    while entries := await side.recover_some(after=after):
        found.append("".join((entry.fields or {})[b"plan_id"].decode() for entry in entries))
        after = entries[-1].id
    assert found == (["abcde"] if side.results else ["ab", "c", "d", "e"])


async def test_a_cancelled_or_lost_read_is_found_by_recovery(side: Side) -> None:
    await side.create()
    ids = side.publish(*"abcdefgh")
    while await side.new(count=3):
        pass
    found = []
    after = "0"
    while entry := await side.recover(after=after):
        found.append(entry.id)
        after = entry.id
    assert found == ids
