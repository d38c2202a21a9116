"""Entries that were delivered and not acknowledged."""

from __future__ import annotations

from brain.identifiers import FencingToken
from store.keys import Keys
from store.protocol import Store
from store.records import Entry
from tests.store.backends import Backend, Outside, pending
from tests.store.sides import Side, publish


async def test_the_oldest_pending_entry_is_claimed_and_counted_each_time(
    side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    first, second = publish(outside, side.stream, "a", "b")
    await side.new()
    assert await side.recover(fence) == Entry(first, {b"plan_id": b"a"}, 2)
    assert await side.recover(fence) == Entry(first, {b"plan_id": b"a"}, 3)
    assert await side.recover(fence, after=first) == Entry(second, {b"plan_id": b"b"}, 2)
    assert await side.recover(fence, after=second) is None
    assert pending(outside, side.stream) == {first: ("first", 3), second: ("first", 2)}


async def test_an_undelivered_entry_is_not_pending(side: Side, outside: Outside, fence: FencingToken) -> None:
    await side.create()
    publish(outside, side.stream, "a")
    assert await side.recover(fence) is None


async def test_another_consumers_entries_are_claimed_too(
    backend: Backend, side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    (entry_id,) = publish(outside, side.stream, "a")
    await side.new(by=backend.another_store("dead"))
    assert pending(outside, side.stream) == {entry_id: ("dead", 1)}
    entry = await side.recover(fence)
    assert entry is not None
    assert entry.deliveries == 2
    assert pending(outside, side.stream) == {entry_id: ("first", 2)}


async def test_only_what_lay_idle_long_enough_is_claimed_and_a_claim_begins_anew(
    backend: Backend, side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    first, second = publish(outside, side.stream, "a", "b")
    await side.new()
    assert await side.recover(fence, idle_ms=5_000) is None
    await backend.pass_ms(200)
    claimed = await side.recover(fence, idle_ms=200)
    assert claimed is not None
    assert claimed.id == first
    claimed = await side.recover(fence, idle_ms=200)
    assert claimed is not None
    assert claimed.id == second
    assert await side.recover(fence, idle_ms=200) is None


async def test_an_entry_deleted_while_pending_is_reported_until_it_is_acknowledged(
    side: Side, store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await side.create()
    first, second = publish(outside, side.stream, "a", "b")
    await side.new()
    outside.xdel(side.stream, first)
    assert await side.recover(fence) == Entry(first, None, 2)
    assert await side.recover(fence) == Entry(first, None, 2)
    assert await side.recover(fence, after=first) == Entry(second, {b"plan_id": b"b"}, 2)
    if not side.results:
        await store.plans.acknowledge(fence, [first])
        assert list(pending(outside, side.stream)) == [second]


async def test_entries_trimmed_away_while_pending_are_recovered_one_by_one(
    side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    ids = publish(outside, side.stream, "a", "b", "c")
    await side.new()
    for entry_id in ids:
        outside.xdel(side.stream, entry_id)
    after = "0"
    for entry_id in ids:
        entry = await side.recover(fence, after=after)
        assert entry == Entry(entry_id, None, 2)
        after = entry_id
    assert await side.recover(fence, after=after) is None


async def test_as_many_as_wanted_are_claimed_at_once_oldest_first(
    side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    ids = publish(outside, side.stream, *"abcde")
    await side.new()
    outside.xdel(side.stream, ids[1])
    assert await side.recover_some(fence, count=3) == [
        Entry(ids[0], {b"plan_id": b"a"}, 2), Entry(ids[1], None, 2), Entry(ids[2], {b"plan_id": b"c"}, 2),
    ]  # fmt: skip
    assert [entry.id for entry in await side.recover_some(fence, after=ids[2])] == ids[3:]
    assert await side.recover_some(fence, after=ids[4]) == []
    # The deleted one is listed, not claimed: to claim it would be to lose it.
    assert {entry_id: count for entry_id, (_, count) in pending(outside, side.stream).items()} == {
        ids[0]: 2, ids[1]: 1, ids[2]: 2, ids[3]: 2, ids[4]: 2,
    }  # fmt: skip


async def test_a_plan_that_was_delivered_more_than_once_comes_alone_and_a_result_with_the_rest(
    side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    ids = publish(outside, side.stream, *"abcde")
    await side.new()
    await side.recover(fence, after=ids[1])  # c is delivered for the second time
    await side.recover(fence, after=ids[2])  # d as well
    found, after = [], "0"
    while entries := await side.recover_some(fence, after=after):
        found.append("".join((entry.fields or {})[b"plan_id"].decode() for entry in entries))
        after = entries[-1].id
    assert found == (["abcde"] if side.results else ["ab", "c", "d", "e"])


async def test_a_cancelled_or_lost_read_is_found_by_recovery(
    side: Side, outside: Outside, fence: FencingToken
) -> None:
    await side.create()
    ids = publish(outside, side.stream, *"abcdefgh")
    while await side.new(count=3):
        pass
    found = []
    after = "0"
    while entry := await side.recover(fence, after=after):
        found.append(entry.id)
        after = entry.id
    assert found == ids
