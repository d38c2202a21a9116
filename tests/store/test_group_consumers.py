"""Consumers of a group, ours and others, on the twin and on every redis-server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from brain.identifiers import FencingToken
from store.errors import FencedError, GroupLostError
from store.protocol import ConsumerGroup
from tests.store.backends import KEYS, Backend

STREAM = "q:stream:apply.plan"
GOVERNOR = "governor"


def governors(backend: Backend, consumer: str = "first") -> ConsumerGroup:
    """The group of another role on the stream of plans, as its consumer `consumer`."""
    store = backend.store if consumer == "first" else backend.another_store(consumer)
    group: Any = store.plans
    return replace(group, group=GOVERNOR, dead=f"{KEYS.dead_plans}.{GOVERNOR}")  # type: ignore[no-any-return]


async def test_a_group_that_does_not_exist_has_no_consumers(leased: Backend) -> None:
    assert await governors(leased).consumers() == []
    leased.outside.xadd(STREAM, {"plan_id": "p"})
    assert await governors(leased).consumers() == []


async def test_each_consumer_is_listed_with_its_pending_entries_and_its_idle_time(leased: Backend) -> None:
    ours, other = governors(leased), governors(leased, "gov-1234")
    await ours.create(lost=True)
    for plan_id in "abc":
        leased.outside.xadd(STREAM, {"plan_id": plan_id})
    assert len(await ours.read_new(count=1, block_ms=0)) == 1
    assert len(await other.read_new(count=5, block_ms=0)) == 2
    await leased.pass_ms(100)
    first, second = await ours.consumers()
    assert (first.name, first.pending, first.ours) == ("first", 1, True)
    assert (second.name, second.pending, second.ours) == ("gov-1234", 2, False)
    assert 95 <= second.idle_ms < 10_000


async def test_a_consumer_that_took_part_before_counts_as_ours_from_then_on(leased: Backend) -> None:
    ours, former = governors(leased), governors(leased, "former")
    await ours.create(lost=True)
    leased.outside.xadd(STREAM, {"plan_id": "p"})
    await former.read_new(count=1, block_ms=0)
    assert [each.ours for each in await ours.consumers()] == [False]
    await former.take_part(leased.fence)
    assert [each.ours for each in await ours.consumers()] == [True]
    assert leased.outside.hgetall(KEYS.players) == {b"former": leased.fence.encode()}


async def test_taking_part_needs_the_lease(leased: Backend) -> None:
    with pytest.raises(FencedError):
        await governors(leased).take_part(FencingToken("1:another"))
    assert leased.outside.hgetall(KEYS.players) == {}


async def test_groups_of_other_names_are_read_recovered_and_acknowledged_apart(leased: Backend) -> None:
    governor, guard = governors(leased), leased.store.plans
    for group in (governor, guard):
        with pytest.raises(GroupLostError):
            await group.read_new(count=1, block_ms=0)
        await group.create(lost=True)
    assert (governor.group, guard.group) == ("governor", "p33")
    entry_id = leased.outside.xadd(STREAM, {"plan_id": "p"})
    for group in (governor, guard):
        assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [entry_id]
    await governor.acknowledge(leased.fence, [entry_id])
    assert await governor.recover(fence=leased.fence, after="0", idle_ms=0, count=9) == []
    (recovered,) = await guard.recover(fence=leased.fence, after="0", idle_ms=0, count=9)
    assert recovered.id == entry_id
    await guard.dead_letter(leased.fence, entry_id, ("error", "x"))
    assert leased.outside.xpending(STREAM, "p33") == {}
    assert leased.outside.xlen(KEYS.dead_plans) == 1
