"""A plan is begun once, whatever is left of it in Redis."""

from __future__ import annotations

import pytest
import trio

from store.execution_records import BeginReply
from tests.store.backends import KEYS, Backend, everything
from tests.store.executions import (
    EVENT,
    EXECUTOR,
    ORPHAN,
    PLAN,
    begin,
    begun,
    permit,
)


async def test_a_plan_whose_order_was_found_without_a_record_is_not_begun(leased: Backend) -> None:
    """Redis has lost the plan's record and mark, and the plan was published again."""
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None) == "recorded"
    permit(leased)
    before = everything(leased.outside)
    assert await begun(leased) == BeginReply("exists")
    assert everything(leased.outside) == before


async def test_a_plan_that_another_consumer_took_names_it(leased: Backend) -> None:
    permit(leased)
    leased.outside.set(KEYS.permit_consumer(PLAN), "apply_layer")
    before = everything(leased.outside)
    assert await begun(leased) == BeginReply("exists", "apply_layer")
    assert everything(leased.outside) == before


@pytest.mark.parametrize("what", ["record", "mark"])
async def test_a_record_or_mark_of_a_wrong_type_is_one_all_the_same(leased: Backend, what: str) -> None:
    permit(leased)
    if what == "record":
        leased.outside.set(EXECUTOR.order(PLAN), "junk")
    else:
        leased.outside.hset(KEYS.permit_consumer(PLAN), {"a": "b"})
    before = everything(leased.outside)
    assert (await begun(leased)).verdict == "exists"
    assert everything(leased.outside) == before


async def test_of_many_that_begin_at_once_one_does(leased: Backend) -> None:
    permit(leased)
    other = leased.another_store("second")
    asked = await begin(leased)
    replies: list[BeginReply] = []

    async def ask(number: int) -> None:
        store = other if number % 2 else leased.store
        replies.append(await store.begin_order(leased.fence, asked))

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(ask, number)
    assert sorted(reply.verdict for reply in replies) == ["begun"] + ["exists"] * 11
