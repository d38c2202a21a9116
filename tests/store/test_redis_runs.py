from __future__ import annotations

import pytest

from store.errors import StoreRefusedError
from store.protocol import Store
from store.stored_values import read_evictions
from tests.store.backends import KEYS, Backend


async def test_the_first_run_ever_met_is_no_change(store: Store) -> None:
    first = await store.redis_run(None)
    assert first.changed_ms == 0
    assert len(first.run_id) == 40
    assert 0 <= await store.redis_now_ms() - first.now_ms < 5_000


async def test_the_same_run_stays_no_change_whether_the_caller_knows_it_or_not(store: Store) -> None:
    first = await store.redis_run(None)
    for known in (None, first.run_id, "another"):
        again = await store.redis_run(known)
        assert (again.run_id, again.changed_ms) == (first.run_id, 0)


async def test_another_run_than_the_remembered_one_has_changed_now_and_stays_changed(
    backend: Backend,
) -> None:
    backend.outside.set(KEYS.redis_run, "0123abcd|1700000000000")
    run = await backend.store.redis_run(None)
    assert run.changed_ms == run.now_ms
    again = await backend.store.redis_run(run.run_id)
    assert again.changed_ms == run.changed_ms


async def test_a_change_that_is_ahead_of_redis_counts_from_now_on_and_stays(backend: Backend) -> None:
    run = await backend.store.redis_run("another")
    backend.outside.set(KEYS.redis_run, f"{run.run_id}|{run.now_ms + 7_200_000}")
    now = await backend.store.redis_run(run.run_id)
    assert now.changed_ms == now.now_ms
    assert (await backend.store.redis_run(run.run_id)).changed_ms == now.changed_ms


async def test_a_redis_that_remembers_nothing_is_compared_with_what_the_caller_knows(store: Store) -> None:
    run = await store.redis_run("the run before a failover")
    assert run.changed_ms == run.now_ms


async def test_a_run_that_was_emptied_has_changed_now_and_stays_changed(backend: Backend) -> None:
    first = await backend.store.redis_run(None)
    backend.outside.flushall()
    emptied = await backend.store.redis_run(first.run_id)
    assert emptied.changed_ms == emptied.now_ms
    assert backend.outside.get(KEYS.redis_run) == f"{first.run_id}|{emptied.changed_ms}".encode()
    assert (await backend.store.redis_run(first.run_id)).changed_ms == emptied.changed_ms


async def test_a_client_that_never_saw_a_run_cannot_notice_that_it_was_emptied(backend: Backend) -> None:
    await backend.store.redis_run(None)
    backend.outside.flushall()
    assert (await backend.store.redis_run(None)).changed_ms == 0


@pytest.mark.parametrize("junk", [b"", b"\xff|5", b"|", b"x|soon", b"0123abcd"])
async def test_a_memory_that_cannot_be_read_is_another_runs(backend: Backend, junk: bytes) -> None:
    first = await backend.store.redis_run(None)
    backend.outside.set(KEYS.redis_run, junk)
    run = await backend.store.redis_run(first.run_id)
    assert run.changed_ms == run.now_ms


async def test_a_memory_of_a_wrong_type_is_refused(backend: Backend) -> None:
    backend.outside.hset(KEYS.redis_run, {"a": "b"})
    with pytest.raises(StoreRefusedError):
        await backend.store.redis_run(None)


async def test_an_eviction_is_seen_once_and_stays_known(backend: Backend) -> None:
    first = await backend.store.redis_run(None)
    assert first.evicted_ms == 0
    backend.outside.set("some", "thing")
    assert backend.outside.evict("some")
    seen = await backend.store.redis_run(first.run_id)
    assert seen.evicted_ms == seen.now_ms
    assert seen.changed_ms == 0
    for known in (first.run_id, None):
        assert (await backend.store.redis_run(known)).evicted_ms == seen.evicted_ms


async def test_the_count_of_another_run_or_from_before_a_reset_is_no_measure(backend: Backend) -> None:
    first = await backend.store.redis_run(None)
    backend.outside.set("some", "thing")
    backend.outside.evict("some")
    evicted = await backend.store.redis_run(first.run_id)
    count = (await backend.store.durability()).evicted_keys
    backend.outside.set(KEYS.evictions, f"{first.run_id}|{count + 7}|1700000000000")
    assert (await backend.store.redis_run(first.run_id)).evicted_ms >= evicted.evicted_ms
    backend.outside.set(KEYS.evictions, f"another|{count}|1700000000000")
    assert (await backend.store.redis_run(first.run_id)).evicted_ms >= evicted.evicted_ms
    backend.outside.set(KEYS.evictions, f"{first.run_id}|{count}|1700000000000")
    assert (await backend.store.redis_run(first.run_id)).evicted_ms == 1_700_000_000_000


async def test_an_eviction_that_is_ahead_of_redis_counts_from_now_on_and_stays(backend: Backend) -> None:
    first = await backend.store.redis_run(None)
    backend.outside.set(KEYS.evictions, f"{first.run_id}|0|{first.now_ms + 7_200_000}")
    run = await backend.store.redis_run(first.run_id)
    assert run.evicted_ms == run.now_ms
    assert (await backend.store.redis_run(first.run_id)).evicted_ms == run.evicted_ms


@pytest.mark.parametrize("junk", [b"", b"\xff|5|5", b"x|1", b"x|1|soon"])
async def test_a_memory_of_evictions_that_cannot_be_read_is_an_eviction_where_there_was_any(
    backend: Backend, junk: bytes
) -> None:
    first = await backend.store.redis_run(None)
    backend.outside.set("some", "thing")
    backend.outside.evict("some")
    backend.outside.set(KEYS.evictions, junk)
    run = await backend.store.redis_run(first.run_id)
    assert run.evicted_ms == run.now_ms


async def test_a_run_whose_memory_was_evicted_was_not_emptied(backend: Backend) -> None:
    first = await backend.store.redis_run(None)
    assert backend.outside.evict(KEYS.redis_run)
    run = await backend.store.redis_run(first.run_id)
    assert (run.changed_ms, run.evicted_ms) == (0, run.now_ms)


async def test_a_memory_of_evictions_of_a_wrong_type_is_refused(backend: Backend) -> None:
    backend.outside.hset(KEYS.evictions, {"a": "b"})
    with pytest.raises(StoreRefusedError, match=KEYS.evictions):
        await backend.store.redis_run(None)


def test_a_policy_that_may_evict_the_memory_itself_makes_its_absence_an_eviction() -> None:
    def evicted_ms(evicted_keys: int, policy: str) -> int:
        return read_evictions(None, run_id="a", evicted_keys=evicted_keys, policy=policy, now_ms=5)[0]

    assert evicted_ms(3, "allkeys-lru") == 5
    assert evicted_ms(3, "volatile-lru") == 0
    assert evicted_ms(0, "allkeys-lru") == 0
    assert evicted_ms(3, "noeviction") == 0
