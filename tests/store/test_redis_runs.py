from __future__ import annotations

import pytest

from store.errors import StoreRefusedError
from store.keys import Keys
from store.protocol import Store
from store.stored_values import read_evictions
from tests.store.backends import Outside


async def test_the_first_run_ever_met_is_no_change(store: Store) -> None:
    first = await store.redis_run(None)
    assert first.changed_ms == 0
    assert len(first.run_id) == 40
    assert 0 <= await store.redis_now_ms() - first.now_ms < 5_000


async def test_the_same_run_stays_no_change_for_who_knows_it_and_who_does_not(store: Store) -> None:
    first = await store.redis_run(None)
    for known in (None, first.run_id, "another"):
        again = await store.redis_run(known)
        assert (again.run_id, again.changed_ms) == (first.run_id, 0)


async def test_another_run_than_the_remembered_one_has_changed_now_and_stays_changed(
    store: Store, outside: Outside, keys: Keys
) -> None:
    outside.set(keys.redis_run, "0123abcd|1700000000000")
    run = await store.redis_run(None)
    assert run.changed_ms == run.now_ms
    again = await store.redis_run(run.run_id)
    assert again.changed_ms == run.changed_ms


async def test_a_change_that_is_ahead_of_redis_counts_from_now_on_and_stays(
    store: Store, outside: Outside, keys: Keys
) -> None:
    run = await store.redis_run("another")
    outside.set(keys.redis_run, f"{run.run_id}|{run.now_ms + 7_200_000}")
    now = await store.redis_run(run.run_id)
    assert now.changed_ms == now.now_ms
    assert (await store.redis_run(run.run_id)).changed_ms == now.changed_ms


async def test_a_redis_that_remembers_nothing_is_compared_with_what_the_caller_knows(store: Store) -> None:
    run = await store.redis_run("the run before a failover")
    assert run.changed_ms == run.now_ms


async def test_a_run_that_was_emptied_has_changed_now_and_stays_changed(
    store: Store, outside: Outside, keys: Keys
) -> None:
    first = await store.redis_run(None)
    outside.flushall()
    emptied = await store.redis_run(first.run_id)
    assert emptied.changed_ms == emptied.now_ms
    assert outside.get(keys.redis_run) == f"{first.run_id}|{emptied.changed_ms}".encode()
    assert (await store.redis_run(first.run_id)).changed_ms == emptied.changed_ms


async def test_a_client_that_never_saw_a_run_cannot_notice_that_it_was_emptied(
    store: Store, outside: Outside
) -> None:
    await store.redis_run(None)
    outside.flushall()
    assert (await store.redis_run(None)).changed_ms == 0


@pytest.mark.parametrize("junk", [b"", b"\xff|5", b"|", b"x|soon", b"0123abcd"])
async def test_a_memory_that_cannot_be_read_is_another_runs(
    store: Store, outside: Outside, keys: Keys, junk: bytes
) -> None:
    first = await store.redis_run(None)
    outside.set(keys.redis_run, junk)
    run = await store.redis_run(first.run_id)
    assert run.changed_ms == run.now_ms


async def test_a_memory_of_a_wrong_type_is_refused(store: Store, outside: Outside, keys: Keys) -> None:
    outside.hset(keys.redis_run, {"a": "b"})
    with pytest.raises(StoreRefusedError):
        await store.redis_run(None)


async def test_an_eviction_is_seen_once_and_stays_known(store: Store, outside: Outside, keys: Keys) -> None:
    first = await store.redis_run(None)
    assert first.evicted_ms == 0
    outside.set("some", "thing")
    assert outside.evict("some")
    seen = await store.redis_run(first.run_id)
    assert seen.evicted_ms == seen.now_ms
    assert seen.changed_ms == 0
    for known in (first.run_id, None):
        assert (await store.redis_run(known)).evicted_ms == seen.evicted_ms


async def test_the_count_of_another_run_or_from_before_a_reset_is_no_measure(
    store: Store, outside: Outside, keys: Keys
) -> None:
    first = await store.redis_run(None)
    outside.set("some", "thing")
    outside.evict("some")
    evicted = await store.redis_run(first.run_id)
    count = (await store.durability()).evicted_keys
    outside.set(keys.evictions, f"{first.run_id}|{count + 7}|1700000000000")
    assert (await store.redis_run(first.run_id)).evicted_ms >= evicted.evicted_ms
    outside.set(keys.evictions, f"another|{count}|1700000000000")
    assert (await store.redis_run(first.run_id)).evicted_ms >= evicted.evicted_ms
    outside.set(keys.evictions, f"{first.run_id}|{count}|1700000000000")
    assert (await store.redis_run(first.run_id)).evicted_ms == 1_700_000_000_000


async def test_an_eviction_that_is_ahead_of_redis_counts_from_now_on_and_stays(
    store: Store, outside: Outside, keys: Keys
) -> None:
    first = await store.redis_run(None)
    outside.set(keys.evictions, f"{first.run_id}|0|{first.now_ms + 7_200_000}")
    run = await store.redis_run(first.run_id)
    assert run.evicted_ms == run.now_ms
    assert (await store.redis_run(first.run_id)).evicted_ms == run.evicted_ms


@pytest.mark.parametrize("junk", [b"", b"\xff|5|5", b"x|1", b"x|1|soon"])
async def test_a_memory_of_evictions_that_cannot_be_read_is_an_eviction_where_there_was_any(
    store: Store, outside: Outside, keys: Keys, junk: bytes
) -> None:
    first = await store.redis_run(None)
    outside.set("some", "thing")
    outside.evict("some")
    outside.set(keys.evictions, junk)
    run = await store.redis_run(first.run_id)
    assert run.evicted_ms == run.now_ms


async def test_a_run_whose_memory_was_evicted_was_not_emptied(
    store: Store, outside: Outside, keys: Keys
) -> None:
    first = await store.redis_run(None)
    assert outside.evict(keys.redis_run)
    run = await store.redis_run(first.run_id)
    assert (run.changed_ms, run.evicted_ms) == (0, run.now_ms)


async def test_a_memory_of_evictions_of_a_wrong_type_is_refused(
    store: Store, outside: Outside, keys: Keys
) -> None:
    outside.hset(keys.evictions, {"a": "b"})
    with pytest.raises(StoreRefusedError, match=keys.evictions):
        await store.redis_run(None)


def test_a_policy_that_may_evict_the_memory_itself_makes_its_absence_an_eviction() -> None:
    def evicted_ms(evicted_keys: int, policy: str) -> int:
        return read_evictions(None, run_id="a", evicted_keys=evicted_keys, policy=policy, now_ms=5)[0]

    assert evicted_ms(3, "allkeys-lru") == 5
    assert evicted_ms(3, "volatile-lru") == 0
    assert evicted_ms(0, "allkeys-lru") == 0
    assert evicted_ms(3, "noeviction") == 0
