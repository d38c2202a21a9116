from __future__ import annotations

from brain.durability import Durability
from store.keys import Keys
from store.protocol import Store
from store.records import Hold, LastExecution
from store.stored_values import UNREADABLE
from tests.store.backends import Backend, MemoryBackend, Outside, RedisBackend, everything

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


async def test_holds_are_told_with_what_is_left_of_them(store: Store, outside: Outside, keys: Keys) -> None:
    outside.set(keys.hold("BTCUSDT"), "drift", ttl_ms=300_000)
    outside.set(keys.hold("SOLUSDT"), b"\xff")
    outside.set(keys.hold("NOTASKED"), "1")
    first, second = (await store.restraints(SYMBOLS, ())).holds
    assert first.symbol == "BTCUSDT"
    assert first.expires_in_ms is not None and 290_000 < first.expires_in_ms <= 300_000
    assert second == Hold("SOLUSDT", None)


async def test_an_execution_is_told_by_the_cooldown_key_and_by_the_ledger(
    store: Store, outside: Outside, keys: Keys
) -> None:
    outside.set(keys.cooldown("BTCUSDT"), "1790000000000")
    outside.set(keys.cooldown("ETHUSDT"), b"\xff\xfe")
    outside.hset(keys.ledger("BTCUSDT"), {"last_known_amt": "1", "last_order_time_epoch": "1790000000.5"})
    outside.hset(keys.ledger("XRPUSDT"), {"last_order_time_epoch": "1790000001"})
    outside.hset(keys.ledger("SOLUSDT"), {"last_known_amt": "1"})
    told = await store.restraints(SYMBOLS, ("BTCUSDT", "XRPUSDT", "SOLUSDT"))
    assert (told.hold_kinds, told.cooldown_kinds) == ({}, {})
    assert told.executions == (
        LastExecution("BTCUSDT", "1790000000000", "1790000000.5"),
        LastExecution("ETHUSDT", UNREADABLE, None),
        LastExecution("XRPUSDT", None, "1790000001"),
    )
    assert abs(told.now_ms - await store.redis_now_ms()) < 60_000


async def test_of_no_symbols_only_the_booked_ones_are_told(
    store: Store, outside: Outside, keys: Keys
) -> None:
    outside.hset(keys.ledger("XRPUSDT"), {"last_order_time_epoch": "1790000001"})
    told = await store.restraints((), ("XRPUSDT",))
    assert told.executions == (LastExecution("XRPUSDT", None, "1790000001"),)
    assert (await store.restraints((), ())).executions == ()


async def test_keys_of_other_types_are_no_crash(store: Store, outside: Outside, keys: Keys) -> None:
    outside.hset(keys.hold("BTCUSDT"), {"a": "b"})
    outside.hset(keys.cooldown("BTCUSDT"), {"a": "b"})
    outside.set(keys.ledger("BTCUSDT"), "text")
    told = await store.restraints(SYMBOLS, ("BTCUSDT",))
    assert told.holds == (Hold("BTCUSDT", None),)
    assert told.executions == (LastExecution("BTCUSDT", UNREADABLE, UNREADABLE),)
    assert (told.hold_kinds, told.cooldown_kinds) == ({"BTCUSDT": "hash"}, {"BTCUSDT": "hash"})
    outside.delete(keys.hold("BTCUSDT"))
    outside.zadd(keys.cooldown("ETHUSDT"), {"a": 1})
    told = await store.restraints(SYMBOLS, ())
    assert (told.hold_kinds, told.cooldown_kinds) == ({}, {"BTCUSDT": "hash", "ETHUSDT": "zset"})


async def test_a_permit_is_told_while_it_is_there(store: Store, outside: Outside, keys: Keys) -> None:
    outside.set(keys.permit("plan-1"), b'{"allow":true}', ttl_ms=60_000)
    outside.hset(keys.open_permits("BTCUSDT"), {"v": "1", "p:plan-1": "BOTH|close|SELL|0.5|1790000000000"})
    told = await store.permit_traces("plan-1", "BTCUSDT")
    assert (told.permit, told.consumed_by) == (b'{"allow":true}', None)
    assert told.ttl_ms is not None and 50_000 < told.ttl_ms <= 60_000
    assert told.reservation == "BOTH|close|SELL|0.5|1790000000000"
    assert (await store.permit_traces("plan-1", None)).reservation is None


async def test_a_consumed_permit_is_told_by_its_consumer(store: Store, outside: Outside, keys: Keys) -> None:
    outside.set(keys.permit_consumer("plan-1"), "apply-layer-3", ttl_ms=60_000)
    told = await store.permit_traces("plan-1", "BTCUSDT")
    assert (told.permit, told.ttl_ms, told.consumed_by) == (None, None, "apply-layer-3")
    assert told.reservation is None


async def test_traces_of_other_types_are_none(store: Store, outside: Outside, keys: Keys) -> None:
    outside.hset(keys.permit("plan-1"), {"a": "b"})
    outside.hset(keys.permit_consumer("plan-1"), {"a": "b"})
    outside.set(keys.open_permits("BTCUSDT"), "text")
    told = await store.permit_traces("plan-1", "BTCUSDT")
    assert (told.permit, told.ttl_ms, told.consumed_by, told.reservation) == (None, None, None, None)


async def test_onlookers_change_nothing(store: Store, outside: Outside, keys: Keys) -> None:
    outside.set(keys.hold("BTCUSDT"), "1", ttl_ms=300_000)
    outside.set(keys.permit("plan-1"), "{}", ttl_ms=60_000)
    before = everything(outside)
    await store.restraints(SYMBOLS, SYMBOLS)
    await store.permit_traces("plan-1", "BTCUSDT")
    assert everything(outside) == before


async def test_append_only_file_and_eviction_policy_are_read_as_they_are(backend: Backend) -> None:
    if isinstance(backend, RedisBackend):
        call, evicted = backend.plain.call, (await backend.store.durability()).evicted_keys
        call("CONFIG", "SET", "appendonly", "no")
        assert await backend.store.durability() == Durability(False, "noeviction", evicted)
        call("CONFIG", "SET", "appendonly", "yes")
        call("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
        assert await backend.store.durability() == Durability(True, "volatile-ttl", evicted)
        call("CONFIG", "SET", "appendonly", "no")
        call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    elif isinstance(backend, MemoryBackend):
        assert await backend.store.durability() == Durability(True, "noeviction", 0)
        backend.redis.append_only, backend.redis.maxmemory_policy = False, "allkeys-lru"
        assert await backend.store.durability() == Durability(False, "allkeys-lru", 0)
