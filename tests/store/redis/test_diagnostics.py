from __future__ import annotations

import pytest

from brain.durability import Durability
from brain.ledger.ledger import StoredLedger
from store.records import Changed, Hold, LastExecution, SymbolState
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend, MemoryBackend, Outside, RedisBackend, everything
from tests.store.commits import PLAN, SYMBOL, assumed, commit, decision

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


async def test_holds_are_reported_with_their_remaining_time(backend: Backend) -> None:
    backend.outside.set(KEYS.hold("BTCUSDT"), "drift", ttl_ms=300_000)
    backend.outside.set(KEYS.hold("SOLUSDT"), b"\xff")
    backend.outside.set(KEYS.hold("NOTASKED"), "1")
    first, second = (await backend.store.holds_and_cooldowns(SYMBOLS, ())).holds
    assert first.symbol == "BTCUSDT"
    assert first.expires_in_ms is not None and 290_000 < first.expires_in_ms <= 300_000
    assert second == Hold("SOLUSDT", None)


async def test_an_execution_is_read_from_the_cooldown_key_and_the_ledger(backend: Backend) -> None:
    backend.outside.set(KEYS.cooldown("BTCUSDT"), "1790000000000")
    backend.outside.set(KEYS.cooldown("ETHUSDT"), b"\xff\xfe")
    backend.outside.hset(
        KEYS.ledger("BTCUSDT"), {"last_known_amt": "1", "last_order_time_epoch": "1790000000.5"}
    )
    backend.outside.hset(KEYS.ledger("XRPUSDT"), {"last_order_time_epoch": "1790000001"})
    backend.outside.hset(KEYS.ledger("SOLUSDT"), {"last_known_amt": "1"})
    shown = await backend.store.holds_and_cooldowns(SYMBOLS, ("BTCUSDT", "XRPUSDT", "SOLUSDT"))
    assert (shown.hold_kinds, shown.cooldown_kinds) == ({}, {})
    assert shown.executions == (
        LastExecution("BTCUSDT", "1790000000000", StoredLedger("1", last_order_time_epoch="1790000000.5")),
        LastExecution("ETHUSDT", UNREADABLE),
        LastExecution("SOLUSDT", None, StoredLedger("1")),
        LastExecution("XRPUSDT", None, StoredLedger(last_order_time_epoch="1790000001")),
    )
    assert abs(shown.now_ms - await backend.store.redis_now_ms()) < 60_000


async def test_of_no_symbols_only_the_booked_ones_are_reported(backend: Backend) -> None:
    backend.outside.hset(KEYS.ledger("XRPUSDT"), {"last_order_time_epoch": "1790000001"})
    shown = await backend.store.holds_and_cooldowns((), ("XRPUSDT",))
    assert shown.executions == (
        LastExecution("XRPUSDT", None, StoredLedger(last_order_time_epoch="1790000001")),
    )
    assert (await backend.store.holds_and_cooldowns((), ())).executions == ()


async def test_keys_of_other_types_are_no_crash(backend: Backend) -> None:
    backend.outside.hset(KEYS.hold("BTCUSDT"), {"a": "b"})
    backend.outside.hset(KEYS.cooldown("BTCUSDT"), {"a": "b"})
    backend.outside.set(KEYS.ledger("BTCUSDT"), "text")
    shown = await backend.store.holds_and_cooldowns(SYMBOLS, ("BTCUSDT",))
    assert shown.holds == (Hold("BTCUSDT", None),)
    assert shown.executions == (LastExecution("BTCUSDT", UNREADABLE, StoredLedger(UNREADABLE)),)
    assert (shown.hold_kinds, shown.cooldown_kinds) == ({"BTCUSDT": "hash"}, {"BTCUSDT": "hash"})
    backend.outside.delete(KEYS.hold("BTCUSDT"))
    backend.outside.zadd(KEYS.cooldown("ETHUSDT"), {"a": 1})
    shown = await backend.store.holds_and_cooldowns(SYMBOLS, ())
    assert (shown.hold_kinds, shown.cooldown_kinds) == ({}, {"BTCUSDT": "hash", "ETHUSDT": "zset"})


def _put(outside: Outside, key: str, kind: str) -> None:
    match kind:
        case "number":
            outside.set(key, "1790000000000")
        case "bytes":
            outside.set(key, b"\xff")
        case "empty":
            outside.set(key, "")
        case "hash":
            outside.hset(key, {"last_known_amt": "1", "last_order_time_epoch": "1790000000"})
        case "junk hash":
            outside.hset(key, {"last_known_amt": b"\xff", "long_amt": "x", "last_order_time_epoch": ""})
        case "zset":
            outside.zadd(key, {"a": 1})
        case "stream":
            outside.xadd(key, {"a": "b"})


@pytest.mark.parametrize("kind", ["none", "number", "bytes", "empty", "hash", "junk hash", "zset", "stream"])
@pytest.mark.parametrize("name", ["hold", "cooldown", "ledger"])
async def test_the_page_reads_hold_cooldown_and_ledger_of_any_type_as_a_decision_does(
    leased: Backend, name: str, kind: str
) -> None:
    _put(leased.outside, getattr(KEYS, name)("BTCUSDT"), kind)
    # Assumes what is never stored, so that the script answers with what is.
    (verdict,) = await commit(leased, decision("plan-1", "1-0", assumed=assumed(cooldown="never")))
    assert isinstance(verdict, Changed)
    read = await leased.store.holds_and_cooldowns(SYMBOLS, ("BTCUSDT",))
    last = next(
        (each for each in read.executions if each.symbol == "BTCUSDT"), LastExecution("BTCUSDT", None)
    )
    assert verdict.state == SymbolState(bool(read.holds), last.cooldown, last.ledger)


async def test_a_permit_is_reported_while_it_is_there(backend: Backend) -> None:
    backend.outside.set(KEYS.permit("plan-1"), b'{"allow":true}', ttl_ms=60_000)
    backend.outside.hset(
        KEYS.open_permits("BTCUSDT"), {"v": "1", "p:plan-1": "BOTH|close|SELL|0.5|1790000000000"}
    )
    shown = await backend.store.permit_traces(PLAN, SYMBOL)
    assert (shown.permit, shown.consumed_by) == (b'{"allow":true}', None)
    assert shown.ttl_ms is not None and 50_000 < shown.ttl_ms <= 60_000
    assert shown.reservation == "BOTH|close|SELL|0.5|1790000000000"
    assert (await backend.store.permit_traces(PLAN, None)).reservation is None


async def test_a_consumed_permit_is_reported_with_its_consumer(backend: Backend) -> None:
    backend.outside.set(KEYS.permit_consumer("plan-1"), "apply-layer-3", ttl_ms=60_000)
    shown = await backend.store.permit_traces(PLAN, SYMBOL)
    assert (shown.permit, shown.ttl_ms, shown.consumed_by) == (None, None, "apply-layer-3")
    assert shown.reservation is None


async def test_traces_of_other_types_are_none(backend: Backend) -> None:
    backend.outside.hset(KEYS.permit("plan-1"), {"a": "b"})
    backend.outside.hset(KEYS.permit_consumer("plan-1"), {"a": "b"})
    backend.outside.set(KEYS.open_permits("BTCUSDT"), "text")
    shown = await backend.store.permit_traces(PLAN, SYMBOL)
    assert (shown.permit, shown.ttl_ms, shown.consumed_by, shown.reservation) == (None, None, None, None)


async def test_diagnostics_change_nothing(backend: Backend) -> None:
    backend.outside.set(KEYS.hold("BTCUSDT"), "1", ttl_ms=300_000)
    backend.outside.set(KEYS.permit("plan-1"), "{}", ttl_ms=60_000)
    before = everything(backend.outside)
    await backend.store.holds_and_cooldowns(SYMBOLS, SYMBOLS)
    await backend.store.permit_traces(PLAN, SYMBOL)
    assert everything(backend.outside) == before


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
