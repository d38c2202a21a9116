from __future__ import annotations

import pytest

from brain.identifiers import EntryId
from store.errors import StoreRefusedError
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import ENTRY, deliver_plans, pending_ids


async def test_acknowledged_entries_are_no_longer_pending(leased: Backend) -> None:
    first, second, third = await deliver_plans(leased, "a", "b", "c")
    await leased.store.plans.acknowledge(leased.fence, [first, third])
    assert pending_ids(leased.outside, KEYS.plans) == [second]
    await leased.store.plans.acknowledge(leased.fence, [first, ENTRY])
    assert pending_ids(leased.outside, KEYS.plans) == [second]


async def test_nothing_and_very_much_can_be_acknowledged_at_once(leased: Backend) -> None:
    (entry_id,) = await deliver_plans(leased, "a")
    await leased.store.plans.acknowledge(leased.fence, [])
    assert pending_ids(leased.outside, KEYS.plans) == [entry_id]
    others = (EntryId(f"{n}-1") for n in range(1, 9_000))
    await leased.store.plans.acknowledge(leased.fence, [*others, entry_id])
    assert pending_ids(leased.outside, KEYS.plans) == []


async def test_acknowledging_without_stream_or_group_does_nothing(leased: Backend) -> None:
    await leased.store.plans.acknowledge(leased.fence, [ENTRY])
    leased.outside.xadd(KEYS.plans, {"plan_id": "a"})
    await leased.store.plans.acknowledge(leased.fence, [ENTRY])
    assert leased.outside.xlen(KEYS.plans) == 1


async def test_a_dead_plan_is_a_dead_letter_and_no_longer_pending(leased: Backend) -> None:
    (entry_id,) = await deliver_plans(leased, "a")
    await leased.store.plans.dead_letter(
        leased.fence, entry_id, ("entry_id", entry_id, "error", "no plan_id", "\x00Ⓢ", "")
    )
    ((_, letter),) = leased.outside.xrange(KEYS.dead_plans)
    assert letter == {
        b"entry_id": entry_id.encode(), b"error": b"no plan_id", "\x00Ⓢ".encode(): b"",
    }  # fmt: skip
    assert pending_ids(leased.outside, KEYS.plans) == []


@pytest.mark.parametrize("name", ["plans", "dead_plans"])
async def test_a_stream_of_a_wrong_type_leaves_no_half_written_dead_letter(
    leased: Backend, name: str
) -> None:
    if name == "dead_plans":
        await deliver_plans(leased, "a")
    leased.outside.set(getattr(KEYS, name), "x")
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError):
        await leased.store.plans.dead_letter(leased.fence, ENTRY, ("error", "x"))
    assert everything(leased.outside) == before
