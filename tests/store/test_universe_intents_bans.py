from __future__ import annotations

import pytest

from brain.identifiers import EntryId
from store.errors import StoreRefusedError
from store.protocol import Store
from store.records import Entry
from store.universe_records import UniverseKeys
from tests.store.backends import KEYS, Backend


async def test_the_universe_is_read_as_it_is(backend: Backend) -> None:
    assert await backend.store.universe() == UniverseKeys(None, None, None)
    backend.outside.set(KEYS.universe_active, b"\xff{")
    backend.outside.hset(KEYS.universe_meta, {"stale": "0", b"\xfe": b"\xff"})
    backend.outside.set(KEYS.universe_last_ok, "")
    assert await backend.store.universe() == UniverseKeys(b"\xff{", {b"stale": b"0", b"\xfe": b"\xff"}, b"")


async def test_universe_keys_of_wrong_types_are_missing(backend: Backend) -> None:
    backend.outside.hset(KEYS.universe_active, {"a": "b"})
    backend.outside.set(KEYS.universe_meta, "x")
    backend.outside.xadd(KEYS.universe_last_ok, {"a": "b"})
    assert await backend.store.universe() == UniverseKeys(None, None, None)


async def test_the_newest_intents_between_two_ids_come_first(backend: Backend) -> None:
    assert await backend.store.recent_intents("0-0", None, 10) == []
    ids = [backend.outside.xadd(KEYS.intents, {"symbol": symbol, b"\xff": b"\xfe"}) for symbol in "ABCD"]
    shown = await backend.store.recent_intents("0-0", None, 10)
    assert shown == [
        Entry(EntryId(entry_id), {b"symbol": symbol.encode(), b"\xff": b"\xfe"})
        for entry_id, symbol in zip(reversed(ids), "DCBA", strict=True)
    ]
    assert await backend.store.recent_intents("0-0", None, 2) == shown[:2]
    assert await backend.store.recent_intents(ids[0], None, 10) == shown[:3]
    assert await backend.store.recent_intents("0-0", ids[3], 2) == shown[1:3]
    assert await backend.store.recent_intents(ids[0], ids[3], 10) == shown[1:3]
    assert await backend.store.recent_intents(ids[2], ids[3], 10) == []
    assert await backend.store.recent_intents(f"{ids[3].split('-')[0]}-99", None, 10) == []


async def test_a_result_is_unread_behind_the_last_one_read(backend: Backend) -> None:
    assert await backend.store.unread_result("0-0") is None
    first, second = (backend.outside.xadd(KEYS.results, {"plan_id": plan_id}) for plan_id in "ab")
    assert await backend.store.unread_result("0-0") == first
    assert await backend.store.unread_result(first) == second
    assert await backend.store.unread_result(second) is None


async def test_intents_of_a_wrong_type_are_refused(backend: Backend) -> None:
    backend.outside.set(KEYS.intents, "x")
    with pytest.raises(StoreRefusedError):
        await backend.store.recent_intents("0-0", None, 10)


async def test_a_ban_is_remembered_until_it_has_passed(backend: Backend) -> None:
    assert await backend.store.remembered_ban() is None
    until_ms = await backend.store.redis_now_ms() + 60_000
    await backend.store.remember_ban(until_ms)
    assert await backend.store.remembered_ban() == until_ms
    assert 55_000 < backend.outside.pttl(KEYS.ban) <= 60_000
    brief_ms = await backend.store.redis_now_ms() + 30
    await backend.store.remember_ban(brief_ms)
    await backend.pass_ms(50)
    assert await backend.store.remembered_ban() is None


async def test_a_ban_that_has_passed_already_ends_the_one_remembered(store: Store) -> None:
    now_ms = await store.redis_now_ms()
    await store.remember_ban(now_ms + 60_000)
    await store.remember_ban(now_ms - 1)
    assert await store.remembered_ban() is None


@pytest.mark.parametrize("junk", [b"", b"\xff", b"-5", b"soon", b"1" * 5_000, "٣".encode()])
async def test_a_ban_that_cannot_be_read_is_none(backend: Backend, junk: bytes) -> None:
    backend.outside.set(KEYS.ban, junk)
    assert await backend.store.remembered_ban() is None
