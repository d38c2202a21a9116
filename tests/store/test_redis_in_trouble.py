"""Faults of a real Redis: full, frozen, killed, restarted, demoted, emptied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio

from store.errors import GroupLostError, StoreRefusedError, StoreUnavailableError, WrongServerError
from store.records import Adoption, Committed
from store.redis.store import RedisStore
from tests.store.backends import KEYS, RedisBackend, everything, pending
from tests.store.commits import (
    DECISION,
    SYMBOL,
    book,
    booking,
    commit,
    decision,
    pending_ids,
    prepared,
)  # fmt: skip
from tests.store.test_lease import WRITES
from tests.store.test_snapshots import snapshot

T = TypeVar("T")

# Replacing a hash frees before it takes, and a claim or a removal takes next to nothing.
TAKES_NO_MEMORY = {
    "commit_decisions of nothing", "answer_intents of nothing", "plans.acknowledge", "plans.recover",
    "release_hold", "results.recover", "write_snapshots",
}  # fmt: skip


async def test_a_full_redis_leaves_nothing_half_done(real: RedisBackend) -> None:
    fence = await prepared(real)
    real.plain.call("CONFIG", "SET", "maxmemory", 1)
    before = everything(real.outside)
    for name, write in WRITES.items():
        if name not in TAKES_NO_MEMORY:
            with pytest.raises(StoreUnavailableError):
                await write(real.store, fence)
            assert everything(real.outside) == before, name
    with pytest.raises(StoreUnavailableError):
        await real.store.hold_lease("first", None, 60_000)
    assert everything(real.outside) == before

    await real.store.write_snapshots(fence, [snapshot(SYMBOL, "1"), snapshot("ETHUSDT", "2")])
    for symbol in (SYMBOL, "ETHUSDT"):
        assert len(real.outside.hgetall(KEYS.snapshot(symbol))) == 4
    assert (await real.store.hold_lease("first", fence, 60_000)).held

    real.plain.call("CONFIG", "SET", "maxmemory", 0)
    assert isinstance((await commit(real, DECISION))[0], Committed)
    (entry_id,) = pending_ids(real.outside, KEYS.results)
    assert await book(real, booking(entry_id, plan_id="plan-2")) is not None


async def test_results_that_find_their_script_forgotten_are_booked_all_the_same(real: RedisBackend) -> None:
    fence = await prepared(real)
    (entry_id,) = pending_ids(real.outside, KEYS.results)
    real.plain.call("SCRIPT", "FLUSH")
    changed = booking("1-0", plan_id="plan-3")
    times = await real.store.commit_results(fence, [booking(entry_id, plan_id="plan-2"), changed])
    assert [time is None for time in times] == [False, True]
    assert pending_ids(real.outside, KEYS.results) == []


async def test_a_batch_whose_first_plan_was_decided_is_whole_on_a_full_redis(real: RedisBackend) -> None:
    await prepared(real)
    await commit(real, DECISION)
    real.plain.call("CONFIG", "SET", "maxmemory", 1)
    second = decision("plan-2", "2-0", assumed=None)
    try:
        await commit(real, DECISION, second)
    except StoreUnavailableError:
        assert real.outside.get(KEYS.plan_mark("plan-2")) is None
        assert real.outside.get(KEYS.permit("plan-2")) is None
    else:
        assert real.outside.get(KEYS.plan_mark("plan-2")) is not None
        assert real.outside.get(KEYS.permit("plan-2")) is not None
        assert b"p:plan-2" in real.outside.hgetall(KEYS.open_permits(SYMBOL))


async def test_a_replica_cannot_be_written_to(real: RedisBackend) -> None:
    fence = await prepared(real)
    real.plain.call("REPLICAOF", "127.0.0.1", "1")
    before = everything(real.outside)
    for name, write in WRITES.items():
        # Nothing to claim or to write is no write.
        if not name.endswith(" of nothing"):
            with pytest.raises(StoreUnavailableError):
                await write(real.store, fence)
    with pytest.raises(StoreUnavailableError):
        await real.store.hold_lease("first", None, 60_000)
    with pytest.raises(StoreUnavailableError):
        await real.store.release_lease(fence)
    with pytest.raises(StoreUnavailableError):
        await real.store.plans.read_new(count=1, block_ms=0)
    with pytest.raises(StoreUnavailableError):
        await real.store.remember_ban(9_999_999_999_999)
    assert everything(real.outside) == before


async def test_a_primary_that_becomes_a_replica_has_not_lost_its_groups(real: RedisBackend) -> None:
    await real.store.plans.create(lost=False)
    errors: list[Exception] = []

    async def read() -> None:
        try:
            await real.store.plans.read_new(count=1, block_ms=2_000)
        except (StoreUnavailableError, GroupLostError) as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await real.until_a_read_blocks()
        real.plain.call("REPLICAOF", "127.0.0.1", "1")
    assert [type(error) for error in errors] == [WrongServerError]


async def test_scripts_that_redis_forgot_are_sent_again(real: RedisBackend) -> None:
    fence = await prepared(real)
    for write in WRITES.values():
        real.plain.call("SCRIPT", "FLUSH")
        await write(real.store, fence)
        real.plain.call("SCRIPT", "FLUSH")
        await write(real.store, fence)


async def test_a_server_that_dies_under_a_blocked_read_is_noticed_and_nothing_is_lost(
    real: RedisBackend,
) -> None:
    fence = await prepared(real)
    errors: list[StoreUnavailableError] = []

    async def read() -> None:
        try:
            await real.store.plans.read_new(count=1, block_ms=2_000)
        except StoreUnavailableError as error:
            errors.append(error)

    with trio.fail_after(1.5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await real.until_a_read_blocks()
            real.server.kill()
    assert len(errors) == 1
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            await real.store.redis_now_ms()
        with pytest.raises(StoreUnavailableError):
            await real.store.results.read_new(count=1, block_ms=50)
    real.server.start()
    (entry,) = await answered(lambda: real.store.plans.recover(fence=fence, after="0", idle_ms=0, count=9))
    assert entry.fields is not None
    assert entry.fields[b"plan_id"] == b"plan-1"


async def answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Retry once: an idle connection may find out only now that its server is gone."""
    try:
        return await ask()
    except StoreUnavailableError:
        return await ask()


async def test_a_restarted_server_is_another_run(real: RedisBackend) -> None:
    first = await real.store.redis_run(None)
    real.server.kill()
    real.server.start()
    again = await answered(lambda: real.store.redis_run(first.run_id))
    assert again.run_id != first.run_id
    assert again.changed_ms == again.now_ms
    assert (await real.store.redis_run(None)).changed_ms == again.changed_ms


@pytest.mark.parametrize("block_ms", [0, 2_000])
async def test_a_killed_connection_is_noticed_and_replaced(real: RedisBackend, block_ms: int) -> None:
    await real.store.plans.create(lost=False)
    await real.store.plans.read_new(count=1, block_ms=0)
    failed = 0

    async def read() -> None:
        nonlocal failed
        try:
            await real.store.plans.read_new(count=1, block_ms=block_ms)
        except StoreUnavailableError:
            failed += 1

    async with trio.open_nursery() as nursery:
        if block_ms:
            nursery.start_soon(read)
            await real.until_a_read_blocks()
            real.plain.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        else:
            real.plain.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            nursery.start_soon(read)
    assert failed <= 1
    if block_ms:
        assert failed == 1
    entry_id = real.outside.xadd(KEYS.plans, {"plan_id": "a"})
    (entry,) = await real.store.plans.read_new(count=1, block_ms=0)
    assert entry.id == entry_id


async def test_a_frozen_server_is_noticed_in_time_and_its_late_answers_are_dropped(
    real: RedisBackend,
) -> None:
    store = RedisStore(real.server.url, keys=KEYS, consumer="first")  # with the deadline of the service
    await store.redis_now_ms()
    real.server.freeze()
    try:
        begun_sec = trio.current_time()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await store.remembered_ban()
        assert 1.8 < trio.current_time() - begun_sec < 4
    finally:
        real.server.thaw()
    until_ms = await real.store.redis_now_ms() + 60_000
    await store.remember_ban(until_ms)
    assert await store.remembered_ban() == until_ms
    assert await store.recent_intents("0-0", None, 5) == []
    await store.close()


async def test_calls_cancelled_at_any_moment_never_get_each_others_answers(real: RedisBackend) -> None:
    await real.store.plans.create(lost=False)
    real.outside.hset(KEYS.universe_meta, {"stale": "0"})
    for step in range(60):
        with trio.move_on_after(step / 20_000):
            await real.store.universe()
        with trio.move_on_after(step / 20_000):
            await real.store.plans.read_new(count=1, block_ms=1)
        assert await real.store.remembered_ban() is None
        assert (await real.store.universe()).meta == {b"stale": b"0"}
    assert pending(real.outside, KEYS.plans) == {}


async def test_a_refusal_is_not_taken_for_absence(real: RedisBackend) -> None:
    fence = await prepared(real)
    too_many = Adoption(SYMBOL, tuple(str(n) for n in range(9_000)), ())
    before = everything(real.outside)
    with pytest.raises(StoreRefusedError):
        await real.store.adopt_ledgers(fence, [too_many], 1_000)
    assert everything(real.outside) == before


async def test_closing_a_store_whose_server_is_gone_is_quiet(real: RedisBackend) -> None:
    await real.store.redis_now_ms()
    real.server.kill()
    await real.redis_store.close()
