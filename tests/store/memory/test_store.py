"""Features of the twin alone: virtual time, faults on order, a restart of its Redis."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from store.errors import GroupLostError, StoreUnavailableError
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.records import Committed, Entry
from tests.store.backends import KEYS, MemoryBackend, everything, pending
from tests.store.commits import DECISION, SYMBOL, book, booking, commit, decision, deliver_plans


def on_trio_time() -> tuple[MemoryRedis, MemoryStore]:
    """Return a Redis whose clock is trio's."""
    redis = MemoryRedis(lambda: 1_760_000_000_000 + round(trio.current_time() * 1000))
    return redis, MemoryStore(redis, keys=Keys("q"), consumer="first")


async def test_a_blocked_read_costs_virtual_time_only(autojump_clock: trio.testing.MockClock) -> None:
    _, store = on_trio_time()
    await store.plans.create(lost=False)
    for _ in range(1_000):
        assert await store.plans.read_new(count=1, block_ms=2_000) == []
    assert trio.current_time() == pytest.approx(2_000)


async def test_a_blocked_read_wakes_at_the_moment_of_publishing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    redis, store = on_trio_time()
    await store.plans.create(lost=False)
    read_at_sec: list[float] = []

    async def read() -> None:
        for _ in range(2):
            (entry,) = await store.plans.read_new(count=1, block_ms=2_000)
            assert entry.id_ms == redis.now_ms()
            read_at_sec.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for _ in range(2):
            await trio.sleep(0.75)
            redis.xadd("q:stream:apply.plan", {"plan_id": "a"})
    assert read_at_sec == pytest.approx([0.75, 1.5])


async def test_keys_expire_in_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    redis, store = on_trio_time()
    fence = (await store.hold_lease("first", None, 2_000)).fence
    await store.commit_decisions(fence, [DECISION])
    await trio.sleep(59.9)
    assert redis.get("q:permit:p33:plan-1") is not None
    await trio.sleep(0.1)
    assert redis.get("q:permit:p33:plan-1") is None
    await trio.sleep(3_600)
    assert redis.keys() == ["q:p33:fence", "q:stream:permit.audit"]


async def test_two_readers_share_what_comes_and_each_entry_goes_to_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    redis, store = on_trio_time()
    other = MemoryStore(redis, keys=Keys("q"), consumer="second")
    await store.plans.create(lost=False)
    came: list[Entry] = []

    async def read(by: MemoryStore) -> None:
        came.extend(await by.plans.read_new(count=1, block_ms=2_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, store)
        nursery.start_soon(read, other)
        await trio.testing.wait_all_tasks_blocked()
        ids = [redis.xadd("q:stream:apply.plan", {"plan_id": "a"}) for _ in range(2)]
    assert sorted(entry.id for entry in came) == ids


async def test_a_call_that_fails_before_its_effect_did_nothing(memory: MemoryBackend) -> None:
    await memory.take_lease()
    before = everything(memory.outside)
    memory.redis.faults.fail_next("before")
    with pytest.raises(StoreUnavailableError):
        await commit(memory, DECISION)
    assert everything(memory.outside) == before
    assert isinstance((await commit(memory, DECISION))[0], Committed)


async def test_a_call_that_fails_after_its_effect_did_everything(memory: MemoryBackend) -> None:
    await memory.take_lease()
    memory.redis.faults.fail_next("after")
    with pytest.raises(StoreUnavailableError):
        await commit(memory, DECISION)
    assert memory.outside.get(KEYS.permit("plan-1")) is not None
    await memory.store.redis_now_ms()


async def test_a_planned_fault_waits_for_its_method_and_happens_as_often_as_planned(
    memory: MemoryBackend,
) -> None:
    store = memory.store
    memory.redis.faults.fail_next("before", method="remembered_ban", count=2)
    await store.redis_now_ms()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await store.remembered_ban()
    assert await store.remembered_ban() is None


async def test_a_read_whose_answer_is_lost_leaves_its_entries_pending(memory: MemoryBackend) -> None:
    await memory.store.plans.create(lost=False)
    entry_id = memory.outside.xadd(KEYS.plans, {"plan_id": "a"})
    memory.redis.faults.fail_next("after", method="plans.read_new")
    with pytest.raises(StoreUnavailableError):
        await memory.store.plans.read_new(count=1, block_ms=0)
    assert pending(memory.outside, KEYS.plans) == {entry_id: ("first", 1)}


async def test_a_read_cancelled_on_its_way_back_leaves_its_entries_pending(
    autojump_clock: trio.testing.MockClock,
) -> None:
    redis, _ = on_trio_time()

    async def a_second() -> None:
        await trio.sleep(1)

    store = MemoryStore(redis, keys=Keys("q"), consumer="first", crossing=a_second)
    await store.plans.create(lost=False)
    entry_id = redis.xadd("q:stream:apply.plan", {"plan_id": "a"})
    with trio.move_on_after(1.5):
        await store.plans.read_new(count=1, block_ms=2_000)
    assert pending(redis, "q:stream:apply.plan") == {entry_id: ("first", 1)}


@pytest.mark.parametrize("scope", ["the server", "one store"])
async def test_an_outage_fails_every_call_and_those_that_wait(
    memory: MemoryBackend, autojump_clock: trio.testing.MockClock, scope: str
) -> None:
    store, other = memory.memory_store, memory.another_store("second")
    faults = memory.redis.faults if scope == "the server" else store.faults
    await store.plans.create(lost=False)
    failed_at_sec: list[float] = []

    async def read() -> None:
        with pytest.raises(StoreUnavailableError):
            await store.plans.read_new(count=1, block_ms=2_000)
        failed_at_sec.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.5)
        with faults.outage():
            assert faults.away
            with pytest.raises(StoreUnavailableError):
                await store.redis_now_ms()
            if scope == "the server":
                with pytest.raises(StoreUnavailableError):
                    await other.redis_now_ms()
            else:
                await other.redis_now_ms()
    assert failed_at_sec == pytest.approx([0.5])
    assert not faults.away
    await store.redis_now_ms()


async def test_an_outage_of_answers_lets_requests_take_effect(memory: MemoryBackend) -> None:
    with memory.redis.faults.outage("after"), pytest.raises(StoreUnavailableError):
        await memory.store.hold_lease("first", None, 60_000)
    assert memory.outside.get(KEYS.lease) is not None


async def test_a_restart_is_another_run_that_holds_what_was_held(memory: MemoryBackend) -> None:
    store = memory.store
    await deliver_plans(memory, "plan-1")
    first = await store.redis_run(None)
    before = everything(memory.outside)
    memory.redis.restart()
    assert everything(memory.outside) == before
    again = await store.redis_run(first.run_id)
    assert again.run_id != first.run_id
    assert again.changed_ms == again.now_ms


async def test_a_restart_ends_blocked_reads(memory: MemoryBackend) -> None:
    await memory.store.plans.create(lost=False)

    async def read() -> None:
        with pytest.raises(StoreUnavailableError):
            await memory.store.plans.read_new(count=1, block_ms=2_000)

    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await memory.until_a_read_blocks()
            memory.redis.restart()


async def test_a_failover_may_lose_what_was_acknowledged_last(memory: MemoryBackend) -> None:
    await memory.take_lease()
    await commit(memory, DECISION)
    replica = memory.redis.copy()
    await commit(memory, decision("plan-2", "2-0", symbol="ETHUSDT"))
    await book(memory, booking("1-0", mark_before=DECISION.mark, mark_after=""))
    memory.redis.restart(with_keys_of=replica)
    assert memory.outside.get(KEYS.permit("plan-1")) is not None
    assert memory.outside.get(KEYS.permit("plan-2")) is None
    assert memory.outside.hgetall(KEYS.ledger(SYMBOL)) == {}
    replica.flushall()
    assert memory.outside.get(KEYS.permit("plan-1")) is not None


async def test_a_copy_lacks_all_that_is_stored_later(memory: MemoryBackend) -> None:
    """Whatever the type, and what a stream's groups know, too."""
    stored, plans = memory.redis.keyspace, KEYS.plans
    stored.set("string", "before")
    stored.rpush("list", ["before"])
    stored.hset("hash", ["field", "before"])
    stored.zadd("set", 1, "before")
    await memory.store.plans.create(lost=False)
    memory.redis.xadd(plans, {"plan_id": "before"})
    copied = memory.redis.copy()
    before = everything_in(copied)
    stored.set("string", "after")
    stored.rpush("list", ["after"])
    stored.hset("hash", ["field", "after"])
    stored.zadd("set", 2, "after")
    memory.redis.xadd(plans, {"plan_id": "after"})
    assert len(await memory.store.plans.read_new(count=2, block_ms=0)) == 2
    assert everything_in(copied) == before != everything_in(memory.redis)


def everything_in(redis: MemoryRedis) -> list[object]:
    """Return what is stored in all that the test above changes."""
    stored, (_, group) = redis.keyspace, redis.group(KEYS.plans, "p33")
    return [
        stored.text("string"),
        redis.lrange("list"),
        redis.hgetall("hash"),
        dict(stored.sorted_set("set")),
        redis.xrange(KEYS.plans),
        group.last_delivered,
        dict(group.pending),
        dict(group.seen_ms),
    ]


async def test_expired_keys_that_are_not_read_do_not_pile_up(memory: MemoryBackend) -> None:
    for n in range(20_000):
        memory.outside.set(f"mark:{n}", "D", ttl_ms=100)
        await memory.pass_ms(1)
    assert len(memory.redis.keyspace) < 5_000


async def test_a_group_of_a_stream_that_is_not_there_is_lost_to_the_outside_too(
    memory: MemoryBackend,
) -> None:
    with pytest.raises(GroupLostError):
        memory.redis.xpending("nowhere", "p33")
