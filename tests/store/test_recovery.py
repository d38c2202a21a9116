"""Entries that were delivered and not acknowledged."""

from __future__ import annotations

from store.keys import Keys
from store.protocol import Store
from store.records import Entry
from tests.store.backends import Backend, Outside, pending
from tests.store.sides import Side, publish


async def test_the_oldest_pending_entry_is_claimed_and_counted_each_time(
    side: Side, outside: Outside, fence: str
) -> None:
    await side.create()
    first, second = publish(outside, side.stream, "a", "b")
    await side.new()
    assert await side.recover(fence) == Entry(first, {b"plan_id": b"a"}, 2)
    assert await side.recover(fence) == Entry(first, {b"plan_id": b"a"}, 3)
    assert await side.recover(fence, after=first) == Entry(second, {b"plan_id": b"b"}, 2)
    assert await side.recover(fence, after=second) is None
    assert pending(outside, side.stream) == {first: ("first", 3), second: ("first", 2)}


async def test_what_nobody_was_given_yet_is_not_pending(side: Side, outside: Outside, fence: str) -> None:
    await side.create()
    publish(outside, side.stream, "a")
    assert await side.recover(fence) is None


async def test_another_consumers_entries_are_claimed_too(
    backend: Backend, side: Side, outside: Outside, fence: str
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
    backend: Backend, side: Side, outside: Outside, fence: str
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


async def test_an_entry_deleted_while_pending_is_told_until_it_is_acknowledged(
    side: Side, store: Store, outside: Outside, keys: Keys, fence: str
) -> None:
    await side.create()
    first, second = publish(outside, side.stream, "a", "b")
    await side.new()
    outside.xdel(side.stream, first)
    assert await side.recover(fence) == Entry(first, None, 2)
    assert await side.recover(fence) == Entry(first, None, 2)
    assert await side.recover(fence, after=first) == Entry(second, {b"plan_id": b"b"}, 2)
    if not side.results:
        await store.acknowledge_plans(fence, [first])
        assert list(pending(outside, side.stream)) == [second]


async def test_entries_trimmed_away_while_pending_are_recovered_one_by_one(
    side: Side, outside: Outside, fence: str
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


async def test_a_cancelled_or_lost_read_is_found_by_recovery(
    side: Side, outside: Outside, fence: str
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
