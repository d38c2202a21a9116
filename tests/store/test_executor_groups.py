"""The executor's consumer groups, its dry run, its manual lane and its counts."""

from __future__ import annotations

import pytest

from brain.identifiers import PlanId
from store.errors import GroupLostError
from store.keys import GROUP
from tests.store.backends import KEYS, Backend, everything, pending
from tests.store.executions import ENTRY, EXECUTOR, PLAN, deliver, refusal

GROUPS = {
    "executions": (KEYS.plans, "intent_executor"),
    "dry_runs": (KEYS.plans, "intent_executor_shadow"),
    "manual_plans": ("q:stream:apply.plan.manual", "intent_executor_manual"),
}


@pytest.mark.parametrize("name", GROUPS)
async def test_a_new_group_begins_now_even_on_a_redis_that_was_used_before(
    leased: Backend, name: str
) -> None:
    group = getattr(leased.store, name)
    assert (group.stream, group.group) == GROUPS[name]
    await leased.store.redis_run(None)
    leased.outside.xadd(group.stream, {"plan_id": "before"})
    await group.create(lost=False)
    entry_id = leased.outside.xadd(group.stream, {"plan_id": "after"})
    assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [entry_id]


@pytest.mark.parametrize("name", GROUPS)
async def test_a_group_that_is_lost_and_dealt_with_nothing_begins_at_the_start(
    leased: Backend, name: str
) -> None:
    group = getattr(leased.store, name)
    first = leased.outside.xadd(group.stream, {"plan_id": "first"})
    await group.create(lost=True)
    assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [first]


@pytest.mark.parametrize("name", ["executions", "manual_plans"])
@pytest.mark.parametrize("used", [False, True])
async def test_a_group_that_vanishes_before_anything_was_dealt_with_begins_again_where_it_began(
    leased: Backend, name: str, used: bool
) -> None:
    group = getattr(leased.store, name)
    if used:
        leased.outside.xadd(group.stream, {"plan_id": "before"}, entry_id="1-1")
    await group.create(lost=False)
    leased.outside.xgroup_destroy(group.stream, group.group)
    missed = leased.outside.xadd(group.stream, {"plan_id": "missed"})
    await group.create(lost=False)
    assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [missed]


@pytest.mark.parametrize("manual", [False, True])
async def test_a_lost_group_begins_behind_the_last_plan_that_was_dealt_with(
    leased: Backend, manual: bool
) -> None:
    group = leased.store.manual_plans if manual else leased.store.executions
    first, second, third = await deliver(leased, "a", "b", "c", manual=manual)
    for plan_id, entry_id in (("a", first), ("c", third)):
        ended = refusal(plan_id=PlanId(plan_id), entry_id=entry_id, stream=group.stream)
        await leased.store.refuse_plan(leased.fence, ended)
    leased.outside.xgroup_destroy(group.stream, group.group)
    with pytest.raises(GroupLostError):
        await group.read_new(count=9, block_ms=0)
    await group.create(lost=True)
    assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [second, third]


async def test_all_groups_of_a_stream_read_every_plan_each_for_itself(leased: Backend) -> None:
    store = leased.store
    groups = (store.plans, store.executions, store.dry_runs)
    assert [group.group for group in groups] == [GROUP, "intent_executor", "intent_executor_shadow"]
    for group in groups:
        await group.create(lost=False)
    entry_id = leased.outside.xadd(KEYS.plans, {"plan_id": PLAN})
    for group in groups:
        assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [entry_id]
    await store.executions.acknowledge(leased.fence, [entry_id])
    assert [list(pending(leased.outside, KEYS.plans, group.group)) for group in groups] == [
        [entry_id], [], [entry_id],
    ]  # fmt: skip
    recovered = await store.dry_runs.recover(fence=leased.fence, after="0", idle_ms=0, count=9)
    assert [(entry.id, entry.deliveries) for entry in recovered] == [(entry_id, 2)]
    await store.dry_runs.dead_letter(leased.fence, entry_id, ("error", "evaluation_failed"))
    assert pending(leased.outside, KEYS.plans, "intent_executor_shadow") == {}
    assert leased.outside.xlen(KEYS.dead_plans) == 1


async def test_a_dry_run_is_published_and_touches_no_result(leased: Backend) -> None:
    await leased.store.dry_runs.create(lost=False)
    await leased.store.executions.create(lost=False)
    entry_id = leased.outside.xadd(KEYS.plans, {"plan_id": PLAN})
    for group in (leased.store.dry_runs, leased.store.executions):
        await group.read_new(count=1, block_ms=0)
    fields = ("plan_id", PLAN, "would_execute", "true")
    await leased.store.publish_dry_run(leased.fence, leased.store.dry_runs.stream, entry_id, fields)
    ((_, published),) = leased.outside.xrange(EXECUTOR.dry_run)
    assert published == {b"plan_id": b"plan-1", b"would_execute": b"true"}
    assert pending(leased.outside, KEYS.plans, "intent_executor_shadow") == {}
    assert list(pending(leased.outside, KEYS.plans, "intent_executor")) == [entry_id]
    assert leased.outside.kind(KEYS.results) == "none"


async def test_an_entry_recovered_while_it_ends_has_one_line_in_the_dry_run(
    leased: Backend,
) -> None:
    store = leased.store
    await store.dry_runs.create(lost=False)
    entry_id = leased.outside.xadd(KEYS.plans, {"plan_id": PLAN})
    await store.dry_runs.read_new(count=1, block_ms=0)
    await store.dry_runs.recover(fence=leased.fence, after="0", idle_ms=0, count=9)
    for _ in range(2):
        await store.publish_dry_run(leased.fence, KEYS.plans, entry_id, ("plan_id", PLAN))
    assert leased.outside.xlen(EXECUTOR.dry_run) == 1


async def test_a_dry_run_into_a_key_of_a_wrong_type_acknowledges_nothing(leased: Backend) -> None:
    leased.outside.set(EXECUTOR.dry_run, "junk")
    before = everything(leased.outside)
    with pytest.raises(Exception, match="WRONGTYPE"):
        await leased.store.publish_dry_run(leased.fence, KEYS.plans, ENTRY, ("a", "b"))
    assert everything(leased.outside) == before


@pytest.mark.parametrize(
    ("value", "ttl_ms", "is_open"),
    [("1", 60_000, True), ("1", None, False), ("true", 60_000, False), (None, None, False)],
)
async def test_the_manual_lane_is_open_while_its_key_is_1_and_expires(
    leased: Backend, value: str | None, ttl_ms: int | None, is_open: bool
) -> None:
    if value is not None:
        leased.outside.set(EXECUTOR.manual_lane, value, ttl_ms=ttl_ms)
    assert await leased.store.manual_lane_open() is is_open


async def test_a_manual_lane_of_a_wrong_type_is_closed(leased: Backend) -> None:
    leased.outside.hset(EXECUTOR.manual_lane, {"1": "1"})
    leased.outside.pexpire(EXECUTOR.manual_lane, 60_000)
    assert not await leased.store.manual_lane_open()


async def test_counts_are_added_up_and_begin_anew_where_they_are_no_number(leased: Backend) -> None:
    leased.outside.hset(EXECUTOR.counts, {"processed": "40", "blocked_source": "many", "kept": "x"})
    await leased.store.write_counts(leased.fence, {"processed": 2, "blocked_source": 1, "executed_true": 3})
    await leased.store.write_counts(leased.fence, {})
    assert leased.outside.hgetall(EXECUTOR.counts) == {
        b"processed": b"42", b"blocked_source": b"1", b"executed_true": b"3", b"kept": b"x",
    }  # fmt: skip
