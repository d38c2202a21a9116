from __future__ import annotations

import pytest

from brain.identifiers import EntryId, FencingToken
from store.errors import StoreRefusedError
from store.keys import Keys
from store.protocol import Store
from tests.store.backends import Outside, everything
from tests.store.commits import deliver_plans, pending_ids


async def test_acknowledged_entries_are_no_longer_pending(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    first, second, third = await deliver_plans(store, outside, keys, "a", "b", "c")
    await store.plans.acknowledge(fence, [first, third])
    assert pending_ids(outside, keys.plans) == [second]
    await store.plans.acknowledge(fence, [first, EntryId("1-0")])
    assert pending_ids(outside, keys.plans) == [second]


async def test_nothing_and_very_much_can_be_acknowledged_at_once(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (entry_id,) = await deliver_plans(store, outside, keys, "a")
    await store.plans.acknowledge(fence, [])
    assert pending_ids(outside, keys.plans) == [entry_id]
    await store.plans.acknowledge(fence, [*(EntryId(f"{n}-1") for n in range(1, 9_000)), entry_id])
    assert pending_ids(outside, keys.plans) == []


async def test_acknowledging_without_stream_or_group_does_nothing(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await store.plans.acknowledge(fence, [EntryId("1-0")])
    outside.xadd(keys.plans, {"plan_id": "a"})
    await store.plans.acknowledge(fence, [EntryId("1-0")])
    assert outside.xlen(keys.plans) == 1


async def test_a_dead_plan_is_a_dead_letter_and_no_longer_pending(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (entry_id,) = await deliver_plans(store, outside, keys, "a")
    await store.plans.dead_letter(fence, entry_id, ("entry_id", entry_id, "error", "no plan_id", "\x00Ⓢ", ""))
    ((_, letter),) = outside.xrange(keys.dead_plans)
    assert letter == {
        b"entry_id": entry_id.encode(), b"error": b"no plan_id", "\x00Ⓢ".encode(): b"",
    }  # fmt: skip
    assert pending_ids(outside, keys.plans) == []


@pytest.mark.parametrize("name", ["plans", "dead_plans"])
async def test_a_stream_of_a_wrong_type_leaves_no_half_written_dead_letter(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, name: str
) -> None:
    if name == "dead_plans":
        await deliver_plans(store, outside, keys, "a")
    outside.set(getattr(keys, name), "x")
    before = everything(outside)
    with pytest.raises(StoreRefusedError):
        await store.plans.dead_letter(fence, EntryId("1-0"), ("error", "x"))
    assert everything(outside) == before
